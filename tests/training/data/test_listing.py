from pathlib import Path

from tests.training.folder import folder
from training.data.listing import listing


def test_rows_of_the_published_table_that_are_in_no_list_are_excluded(published: Path) -> None:
    names = (published / "test_list.txt").read_text().split()
    (published / "test_list.txt").write_text("\n".join(names[3:]) + "\n")
    found = listing(published)
    assert {split: len(cases) for split, cases in found.splits.items()} == {"train": 24, "val": 8, "test": 5}
    assert [case.image for case in found.excluded["in no list"]] == names[:3]
    assert len({case.image for case in found.cases}) == 40


def test_a_folder_of_ones_own_has_every_row_in_a_split(tmp_path: Path) -> None:
    found = listing(folder(tmp_path / "own"))
    assert (found.name, found.excluded) == ("own", {})
    assert {split: len(cases) for split, cases in found.splits.items()} == {"train": 2, "val": 1, "test": 1}
