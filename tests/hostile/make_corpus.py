"""Write inputs of the generators as a corpus to begin with: `.venv/bin/python -m tests.hostile.make_corpus`."""

from pathlib import Path

from tests.hostile.generators import SYNTAX_OF, good, make
from tests.service.dimse import peer

_SMALL = 20_000  # bytes; the longer an input, the slower it is to vary


def main(count: int = 400) -> None:
    """Write small ones to `build/corpus/TARGET`."""
    for number in range(count):
        for name in ("dicom", *SYNTAX_OF):
            _write("reader", f"{name}/{number}", make(f"{name}/{number}").body)
        input_ = make(f"stow/{number}")
        _write("store", input_.name, input_.content_type + b"\n" + input_.body)
        _write("pdus", f"dimse/{number}", make(f"dimse/{number}").body)
    _write("pdus", "good", peer.request() + peer.echo() + peer.store(good("good")[300:900]) + peer.pdu(5, bytes(4)))


def _write(target: str, name: str, data: bytes) -> None:
    folder = Path("build/corpus") / target
    folder.mkdir(parents=True, exist_ok=True)
    if len(data) <= _SMALL:
        (folder / name.replace("/", "-")).write_bytes(data)


if __name__ == "__main__":
    main()
