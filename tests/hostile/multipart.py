"""Bodies of STOW-RS (PS3.18 10.5, RFC 2046 5.1): parts, boundaries and headers, right and wrong."""

from random import Random

_TYPES = (
    *(b"application/dicom",) * 6,
    *(b"", b"application/octet-stream", b"text/plain; charset=\xff", b"application/dicom+json", b"multipart/related"),
    *(b"application/dicom; transfer-syntax=*", b"APPLICATION/DICOM ;;; a=b", b"x" * 5000),
)
_BOUNDARIES = (b"boundary", b"b", b"a b", b"'()+_,-./:=?", b"-" * 10, b"x" * 70, b"x" * 200, b"\xff\xfe", b'a"b', b"")


def body(files: list[bytes], random: Random) -> tuple[bytes, bytes]:
    """Return a Content-Type and a body with a part for each file, usually with a fault."""
    faults = {random.choice(_FAULTS) for _ in range(random.choice((0, 1, 1, 2, 3)))}
    boundary = random.choice(_BOUNDARIES) if "boundary" in faults else b"boundary"
    stated = b"another" if "stated" in faults else boundary
    content_type = b'multipart/related; type="application/dicom"; boundary="' + stated + b'"'
    if "content_type" in faults:
        content_type = random.choice(_CONTENT_TYPES)
    line = b"\n" if "line" in faults else b"\r\n"
    pieces = [random.choice((b"preamble", b"\r\n" * 9, b"--", bytes(70_000))) + line] if "preamble" in faults else []
    for data in files:
        headers = _headers(random) if "headers" in faults else b"Content-Type: application/dicom\r\n"
        pieces.append(b"--" + boundary + line + headers + line + data + line)
    if "empty" in faults:
        pieces = []
    if "nested" in faults:
        pieces.append(
            b"--" + boundary + b"\r\nContent-Type: multipart/related; boundary=boundary\r\n\r\n" + b"".join(pieces)
        )
    if "repeated" in faults:
        pieces.append((b"--" + boundary + line) * random.choice((2, 200)))
    if "end" not in faults:
        pieces.append(b"--" + boundary + b"--" + line)
    if "epilogue" in faults:
        pieces.append(random.choice((b"epilogue", b"--" + boundary + line, bytes(70_000))))
    data = b"".join(pieces)
    if "cut" in faults:
        data = data[: random.randrange(len(data) + 1)]
    if "bytes" in faults and data:
        changed = bytearray(data)
        for _ in range(random.choice((1, 3, 20))):
            changed[random.randrange(min(len(changed), 300))] = random.choice((0, 10, 13, 45, 58, 255))
        data = bytes(changed)
    return content_type, data


_FAULTS = (
    *("boundary", "stated", "content_type", "line", "preamble", "headers", "headers", "empty", "nested", "repeated"),
    *("end", "epilogue", "cut", "cut", "bytes", "bytes"),
)
_CONTENT_TYPES = (
    *(
        b"",
        b"multipart/related",
        b"multipart/related; boundary",
        b"multipart/related; boundary=",
        b"multipart/form-data",
    ),
    *(b"multipart/related; type=text/plain; boundary=boundary", b"application/dicom", b"application/zip", b"\xff/\xff"),
    *(
        b"multipart/related; boundary=boundary; boundary=other",
        b"multipart/related;" + b" a=b;" * 500 + b"boundary=boundary",
    ),
    b"multipart/related; boundary*=utf-8''boundary",
)


def _headers(random: Random) -> bytes:
    names = (
        b"Content-Type",
        b"content-type",
        b"Content-Length",
        b"Content-Location",
        b"X" * 3000,
        b"",
        b"\0",
        b"A B",
        b":",
    )
    lines = []
    for _ in range(random.choice((0, 1, 2, 5, 500))):
        end = random.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\n "))
        lines.append(random.choice(names) + random.choice((b": ", b":", b" ", b"")) + random.choice(_TYPES) + end)
    return b"".join(lines)
