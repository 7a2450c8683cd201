"""What a file that is not DICOM is, from its first bytes, so that a refusal can say it."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)
PICTURES = {"PNG", "JPEG", "JPEG 2000", "GIF", "BMP", "TIFF"}
READABLE = {"PNG", "JPEG"}  # by service.dicom.plain_picture
ARCHIVES = {"ZIP", "gzip"}


def foreign_format(data: bytes) -> str | None:
    """Return the name of the format that a file begins as; None if it is none of those known here."""
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def not_dicom(data: bytes) -> str:
    """Say that a file is not DICOM, what it is instead, and what to do."""
    name = foreign_format(data)
    if not data:
        return "This file is empty, not DICOM; send the file as it left the modality or the archive."
    if name in PICTURES:
        trial = ", or try `triage predict --as-chest`" if name in READABLE else ""
        return f"This is a {name} picture, not DICOM; export the radiograph from the archive as a DICOM file{trial}."
    if name in ARCHIVES:
        return f"This is a {name} archive, not DICOM; unpack it and send the DICOM files in it."
    if name is not None:
        return f"This is a {name} file, not DICOM; export the radiograph from the archive as a DICOM file."
    return (
        "This is not DICOM: the file is neither a DICOM Part 10 file nor a data set without the header; "
        "export the radiograph from the archive as a DICOM file."
    )
