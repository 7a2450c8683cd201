import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut

from service.dicom.lut import Table, look_up, modality_item, read_table, voi_item
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


def table(lut: Dataset, syntax: str, signed: bool = False) -> Table:
    return read_table(*within(lut, syntax), signed)


LITTLE, BIG, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"


@pytest.mark.parametrize("syntax", [LITTLE, BIG, IMPLICIT])
def test_a_table_of_words(syntax):
    words = table(item([4, 10, 16], [7, 500, 40000, 9]), syntax)
    assert (words.first, words.highest) == (10, 65535)
    values = look_up(np.array([-5.0, 9, 10, 11, 12, 13, 14, 900]), words)
    assert values.tolist() == [7, 7, 7, 500, 40000, 9, 9, 9]


@pytest.mark.parametrize(("syntax", "order"), [(LITTLE, "<"), (BIG, ">")])
def test_words_in_a_value_of_bytes_have_the_byte_order_of_the_file(syntax, order):
    data = np.array([1, 258, 3], order + "u2").tobytes()
    assert table(item([3, 0, 12], data), syntax).entries.tolist() == [1, 258, 3]


def test_a_table_of_bytes():
    assert table(item([3, 0, 8], b"\1\2\3\0"), LITTLE).entries.tolist() == [1, 2, 3]


def test_a_first_value_written_without_its_sign_gets_it_back():
    signed = table(item([3, 65534, 8], [10, 20, 30]), LITTLE, signed=True)
    assert signed.first == -2
    assert look_up(np.array([-3.0, -2, -1, 0, 1]), signed).tolist() == [10, 10, 20, 30, 30]
    assert table(item([3, 65534, 8], [10, 20, 30]), LITTLE, signed=False).first == 65534


def test_bits_that_the_writer_understates_are_corrected():
    assert table(item([2, 0, 8], [0, 1000]), LITTLE).highest == 1023


def test_zero_entries_mean_65536():
    assert table(item([0, 0, 16], np.arange(65536, dtype="<u2").tobytes()), LITTLE).entries.size == 65536


def test_a_lookup_agrees_with_pydicom():
    rng = np.random.default_rng(0)
    lut, dataset = within(item([200, 50, 16], rng.integers(0, 65536, 200).tolist()), LITTLE)
    values = np.arange(0, 400)
    assert np.array_equal(
        look_up(values.astype(np.float64), read_table(lut, dataset, False)), apply_modality_lut(values, dataset)
    )


@pytest.mark.parametrize("lut", [item([3, 0], [1]), item([4, 0, 16], [1, 2, 3]), item([4, 0, 17], [1, 2, 3, 4])])
def test_a_descriptor_that_does_not_fit_is_refused(lut):
    with pytest.raises(MalformedDicom) as refusal:
        table(lut, LITTLE)
    assert refusal.value.code == "value_invalid"


# Written...


@pytest.mark.parametrize("write", [modality_item, voi_item])
@pytest.mark.parametrize(
    ("first", "count", "vr", "descriptor"),
    [
        (0, 20, "US", [20, 0, 16]),
        (65526, 20, "US", [20, 65526, 16]),
        (-10, 20, "SS", [20, -10, 16]),
        (0, 65536, "US", [0, 0, 16]),
        (-5, 40000, "SS", [40000, -5, 16]),
    ],
)
def test_a_descriptor_is_written_in_one_vr(write, first, count, vr, descriptor):
    lut = write(Table(first, np.arange(count, dtype=np.uint16), 65535))
    assert (lut["LUTDescriptor"].VR, list(lut.LUTDescriptor)) == (vr, descriptor)
    assert np.frombuffer(lut.LUTData, "<u2").tolist() == list(range(count))


def test_entries_of_a_voi_lut_are_scaled_to_16_bits_and_those_of_a_modality_lut_are_not():
    lut = Table(0, np.array([0, 2, 1023], np.uint16), 1023)
    assert np.frombuffer(voi_item(lut).LUTData, "<u2").tolist() == [0, 128, 65535]  # 65535 * 2 / 1023 = 128.1
    assert np.frombuffer(modality_item(lut).LUTData, "<u2").tolist() == [0, 2, 1023]


def test_what_is_written_is_read_again():
    lut = read_table(*within(voi_item(Table(-5, np.arange(40000, dtype=np.uint16), 65535)), LITTLE), signed=True)
    assert (lut.first, lut.entries.size, lut.highest) == (-5, 40000, 65535)
