import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut

from service.dicom.lut import look_up, table_of
from service.dicom.reader import read
from service.errors import MalformedDicom
from tests.factories import chest, encode, ramp


def item(descriptor: list[int], data: list[int] | bytes) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = descriptor
    table.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data)
    table["LUTDescriptor"].VR = "US"
    return table


def within(table: Dataset, syntax: str) -> tuple[Dataset, Dataset]:
    dataset = read(encode(chest(ramp(8, 8), ModalityLUTSequence=[table]), syntax))
    return dataset.ModalityLUTSequence[0], dataset


LITTLE, BIG, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"


@pytest.mark.parametrize("syntax", [LITTLE, BIG, IMPLICIT])
def test_words_by_hand(syntax):
    table = table_of(*within(item([4, 10, 16], [7, 500, 40000, 9]), syntax))
    assert (table.first, table.highest) == (10, 65535)
    values = look_up(np.array([-5.0, 9, 10, 11, 12, 13, 14, 900]), table)
    assert values.tolist() == [7, 7, 7, 500, 40000, 9, 9, 9]


@pytest.mark.parametrize(("syntax", "order"), [(LITTLE, "<"), (BIG, ">")])
def test_words_given_as_bytes(syntax, order):
    data = np.array([1, 258, 3], order + "u2").tobytes()
    assert table_of(*within(item([3, 0, 12], data), syntax)).entries.tolist() == [1, 258, 3]


def test_bytes():
    assert table_of(*within(item([3, 0, 8], b"\1\2\3\0"), LITTLE)).entries.tolist() == [1, 2, 3]


def test_first_value_below_zero_written_without_its_sign():
    table = table_of(*within(item([3, 65534, 8], [10, 20, 30]), LITTLE))
    assert look_up(np.array([-3.0, -2, -1, 0, 1]), table).tolist() == [10, 10, 20, 30, 30]


def test_bits_understated_by_the_writer():
    assert table_of(*within(item([2, 0, 8], [0, 1000]), LITTLE)).highest == 1023


def test_zero_entries_mean_65536():
    table = table_of(*within(item([0, 0, 16], np.arange(65536, dtype="<u2").tobytes()), LITTLE))
    assert table.entries.size == 65536


def test_agrees_with_pydicom():
    rng = np.random.default_rng(0)
    lut, dataset = within(item([200, 50, 16], rng.integers(0, 65536, 200).tolist()), LITTLE)
    values = np.arange(0, 400)
    assert np.array_equal(
        look_up(values.astype(np.float64), table_of(lut, dataset)), apply_modality_lut(values, dataset)
    )


@pytest.mark.parametrize("table", [item([3, 0], [1]), item([4, 0, 16], [1, 2, 3]), item([4, 0, 17], [1, 2, 3, 4])])
def test_descriptor_that_does_not_fit(table):
    with pytest.raises(MalformedDicom) as refusal:
        table_of(*within(table, LITTLE))
    assert refusal.value.code == "value_invalid"
