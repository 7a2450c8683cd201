"""Small folders in the forms in which CheXpert, MIMIC-CXR-JPG, PadChest and VinDr-CXR are published."""

import gzip
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.factories import noise

CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
MIMIC_HEADER = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,"
    "Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
MIMIC_METADATA = "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate"
PADCHEST_HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Report,MethodLabel,Labels,Localizations"
)
VINDR_LABELS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other diseases,No finding"
)


def picture(path: Path, seed: int = 0, bits: int = 8) -> Path:
    """Write a picture of 40 x 30 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(40, 30, bits, seed)).save(path)
    return path


def write(path: Path, header: str, rows: Iterable[str]) -> None:
    """Write a table, compressed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def chexpert_row(path: str, values: dict[str, str], view: str = "Frontal,AP", person: str = "Female,68") -> str:
    """Return a row of CheXpert; observations that are not given are blank."""
    return ",".join([path, person, view, *(values.get(name, "") for name in CHEXPERT_HEADER.split(",")[5:])])


def chexpert(root: Path, prefix: str = "CheXpert-v1.0-small") -> Path:
    """Forty training patients with a frontal and a lateral image each, and two of valid.csv."""
    rows = []
    for number in range(1, 41):
        place = f"train/patient{number:05d}/study1"
        values = {"Pleural Effusion": ("1.0", "0.0", "-1.0", "")[number % 4], "Fracture": "0.0"}
        view = f"Frontal,{'PA' if number % 2 else 'AP'}"
        rows.append(chexpert_row(f"{prefix}/{place}/view1_frontal.jpg", values, view))
        rows.append(chexpert_row(f"{prefix}/{place}/view2_lateral.jpg", values, "Lateral,"))
        picture(root / place / "view1_frontal.jpg", number)
    write(root / "train.csv", CHEXPERT_HEADER, rows)
    valid = ["valid/patient64541/study1/view1_frontal.jpg", "valid/patient64542/study1/view1_frontal.jpg"]
    for path in valid:
        picture(root / path)
    every = dict.fromkeys(CHEXPERT_HEADER.split(",")[5:], "0.0")
    write(root / "valid.csv", CHEXPERT_HEADER, [chexpert_row(f"{prefix}/{path}", every) for path in valid])
    return root


def mimic_cxr(root: Path, suffix: str = ".csv.gz") -> Path:
    """Four patients; the first has two studies, and a lateral image."""
    images = [
        ("02aa804e", "10000032", "50414267", "PA", "train"),
        ("174413ec", "10000032", "50414267", "LATERAL", "train"),
        ("2a2277a9", "10000032", "53189527", "AP", "train"),
        ("68b5c4b1", "10000764", "57375967", "AP", "validate"),
        ("8061113f", "11000898", "50771383", "PA", "test"),
        ("9a1f2b3c", "11000899", "50771999", "AP", "train"),
    ]
    labels = {  # one row per study, in the header's order
        "50414267": ",,,,,,,,1.0,,,,,",
        "53189527": "-1.0,1.0,,0.0,,,,,,,,,,1.0",
        "57375967": ",,,,,,,,,1.0,,-1.0,0.0,",
        "50771383": ",,1.0,,,,,,,,,,,",
    }
    metadata, split = [], []
    for seed, (dicom, subject, study, view, part) in enumerate(images):
        metadata.append(f"{dicom},{subject},{study},CHEST,{view},3056,2544,21800506")
        split.append(f"{dicom},{study},{subject},{part}")
        picture(root / f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg", seed)
    subjects = {study: subject for _, subject, study, _, _ in images}
    studies = [f"{subjects[study]},{study},{values}" for study, values in labels.items()]
    write(root / f"mimic-cxr-2.0.0-chexpert{suffix}", MIMIC_HEADER, studies)
    write(root / f"mimic-cxr-2.0.0-metadata{suffix}", MIMIC_METADATA, metadata)
    write(root / f"mimic-cxr-2.0.0-split{suffix}", "dicom_id,study_id,subject_id,split", split)
    return root


def padchest_row(image: str, patient: str, labels: str, projection: str = "PA", place: str = "0") -> str:
    """Return a row of PadChest."""
    about = f"20140915,1,{patient},1930.0,F,POSTEROANTERIOR,{projection}"
    return f'7,{image},{place},{about},Manual review of DICOM fields,No,"sin, hallazgos",Physician,"{labels}",[]'


def padchest(root: Path, rows: Sequence[str]) -> Path:
    """The images of these rows as 16-bit PNG in the folders of the column ImageDir."""
    write(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", PADCHEST_HEADER, rows)
    for seed, row in enumerate(rows):
        _, image, place, *_ = row.split(",")
        picture(root / place.removesuffix(".0") / image, seed, 16)
    return root


def vindr_row(image: str, found: Iterable[str], reader: str = "") -> str:
    """Return a row of image labels, with the reader if there is one."""
    found = set(found)
    values = ["1" if name in found else "0" for name in VINDR_LABELS.split(",")]
    return ",".join([image, *([reader] if reader else []), *values])


def vindr_cxr(root: Path) -> Path:
    """Twenty training images with three readers each, and two test images, of 320 x 256 pixels."""
    labels, boxes = [], []
    for number in range(20):
        image = f"{number:032x}"
        for place, reader in enumerate(("R8", "R9", "R10")):
            found = ["Nodule/Mass"] if place < number % 4 else ["No finding"]
            labels.append(vindr_row(image, found, reader))
            edges = "64.0,80.0,128.0,160.0" if place < number % 4 else ",,,"
            boxes.append(f"{image},{reader},{found[0]},{edges}")
        vindr_file(root / "train" / f"{image}.dicom", number)
    tests = {"a" * 32: ["Pleural effusion", "COPD"], "b" * 32: ["No finding"]}
    for image in tests:
        vindr_file(root / "test" / f"{image}.dicom", 1)
    where = root / "annotations"
    write(where / "image_labels_train.csv", f"image_id,rad_id,{VINDR_LABELS}", labels)
    header = VINDR_LABELS.replace("Other diseases", "Other disease")
    rows = [vindr_row(image, found) for image, found in tests.items()]
    write(where / "image_labels_test.csv", f"image_id,{header}", rows)
    write(where / "annotations_train.csv", "image_id,rad_id,class_name,x_min,y_min,x_max,y_max", boxes)
    rows = [f"{'a' * 32},Pleural effusion,0.0,240.0,300.0,340.0", f"{'b' * 32},No finding,,,,"]
    write(where / "annotations_test.csv", "image_id,class_name,x_min,y_min,x_max,y_max", rows)
    return root


def vindr_file(path: Path, seed: int) -> None:
    """Write a DICOM file with the few attributes that the published ones have kept, and no UIDs."""
    pixels = noise(320, 256, 16, seed) >> np.uint16(2)
    dataset = Dataset()
    dataset.PatientSex, dataset.PatientAge = "M", "061Y"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.NumberOfFrames = 1, "MONOCHROME2", 1
    dataset.Rows, dataset.Columns, dataset.PixelSpacing = *pixels.shape, [0.139, 0.139]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 14, 13, 0
    dataset.WindowCenter, dataset.WindowWidth = 8192, 16384
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = number = "1.2.4" + 27 * "4"
    dataset.file_meta.ImplementationClassUID = "1.2.3.4"
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue().replace(number.encode(), path.stem.encode()))
