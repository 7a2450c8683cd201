import hashlib

import pydicom
import pytest

from service.dicom.gate import accept
from service.errors import UnsuitableImage
from training.phantom.samples import RECIPES, samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples") / "new"
    samples(folder)
    return folder


def test_all_samples_exist_and_are_small(folder):
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.dcm")}
    assert set(sizes) == {recipe.name for recipe in RECIPES}
    assert max(sizes.values()) < 1_000_000
    assert sum(sizes.values()) < 5_000_000


def test_the_service_accepts_all_samples_except_the_lateral(folder):
    for recipe in RECIPES:
        dataset = pydicom.dcmread(folder / recipe.name)
        if recipe.name == "lateral.dcm":
            with pytest.raises(UnsuitableImage):
                accept(dataset)
        else:
            assert accept(dataset) == ()


def test_all_samples_differ(folder):
    uids = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in folder.glob("*.dcm")}
    assert len(uids) == len(RECIPES)


def test_the_repository_contains_the_same_headers(folder, root):
    for path in folder.glob("*.dcm"):
        ours = pydicom.dcmread(root / "samples" / path.name, stop_before_pixels=True)
        new = pydicom.dcmread(path, stop_before_pixels=True)
        assert (ours.Rows, ours.Columns, ours.PatientName) == (new.Rows, new.Columns, new.PatientName)


def test_the_readme_names_every_file(folder, root):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert all(recipe.name in text for recipe in RECIPES)
    assert hashlib.sha256(text.encode()).digest() == hashlib.sha256((root / "samples/README.md").read_bytes()).digest()
