"""The page docs/scale.md and the programs whose output it has."""

from pathlib import Path

import pytest

from bench import scale


def test_the_page_has_what_every_program_printed() -> None:
    page = scale.PAGE.read_text(encoding="utf-8")
    for name, words in scale.PROGRAMS.items():
        begin, end = (page.index(f"<!-- {scale.mark(name)}{more} -->") for more in ("", " end"))
        assert f"`python -m bench.{' '.join(words)}`\n\n" in page[begin:end], name


def test_what_a_program_prints_replaces_what_it_printed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n<!-- {scale.mark('cost')} -->\nold\n<!-- {scale.mark('cost')} end -->\nbelow\n")
    monkeypatch.setattr(scale, "run", lambda words: f"ran {' '.join(words)}")
    scale.main(["cost"], page)
    text = page.read_text()
    assert "\nran cost --check\n" in text
    assert "old" not in text
    assert (text[:6], text[-6:]) == ("above\n", "below\n")
