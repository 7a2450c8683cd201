"""The artefact: one ONNX file with the whole network and, in its metadata, the card that says what it is."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from pydantic import ValidationError

from service.artefact.card import Card
from service.errors import ArtefactError

ENTRY = "agcnn"
OUTPUTS = ("fusion", "global", "local", "heat_map", "class_maps", "box")


@dataclass(frozen=True)
class Artefact:
    """A file whose card, inputs and outputs fit the contract; not yet proved on a provider (`Session.prove`).

    Attributes
    ----------
    sha256
        Of the file, lower-case hex.
    model
        The file's bytes, from which sessions are made, so that what was hashed is what runs.
    """

    card: Card
    sha256: str
    path: Path
    model: bytes = field(repr=False)


def load(path: Path, sha256: str | None = None) -> Artefact:
    """Read and check an artefact.

    Raises
    ------
    ArtefactError
        One line: no such file, another digest than told, not ONNX, data outside the file, operators of a foreign
        domain, no card, a card that does not fit (names the field), inputs or outputs other than the contract's.
    """
    model = _read(path)
    digest = hashlib.sha256(model).hexdigest()
    if sha256 is not None and digest != sha256:
        raise ArtefactError(f"{path}: SHA-256 wanted {sha256}, got {digest}", "artefact_digest")
    session = _open(path, model)
    card = _card(path, session.get_modelmeta().custom_metadata_map)
    _check_signature(path, session, card)
    return Artefact(card, digest, path, model)


def golden_canvas(seed: int, size: int) -> np.ndarray:
    """[1, 1, S, S] float32 in [0, 1]: grey squares of 32 pixels, the input of the golden self-test."""
    squares = np.random.default_rng(seed).random((size // 32, size // 32), dtype=np.float32)
    return np.repeat(np.repeat(squares, 32, 0), 32, 1)[None, None]


def isolate(options: ort.SessionOptions) -> None:
    """Let a model resolve no file beside itself: tensors kept outside are looked for where nothing can be."""
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({error.strerror})", "artefact_missing") from None


def _open(path: Path, model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    isolate(options)
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other root
        raise ArtefactError(f"{path}: {_cause(str(error))}") from None


def _cause(message: str) -> str:
    line = " ".join(message.split("\n")[0].split())
    if "xternal data" in line:
        return "not self-contained, it wants tensors from another file"
    if unknown := re.search(r"(\S+)\(-?\d+\) is not a registered function/op", line):
        return f"wants operators that ONNX Runtime does not have: {unknown[1]}"
    if "INVALID_PROTOBUF" in line or "No graph was found" in line:
        return "not an ONNX file, or cut short"
    return "ONNX Runtime refuses it: " + line


def _card(path: Path, metadata: dict[str, str]) -> Card:
    if ENTRY not in metadata:
        raise ArtefactError(f"{path}: no metadata entry {ENTRY!r}, so it is no artefact of this project")
    try:
        return Card.model_validate_json(metadata[ENTRY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join([ENTRY, *map(str, first["loc"])])
        raise ArtefactError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def _check_signature(path: Path, session: ort.InferenceSession, card: Card) -> None:
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor for tensor in session.get_outputs()}
    if set(inputs) != {"image"} or set(outputs) != set(OUTPUTS):
        got = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        raise ArtefactError(f"{path}: wants image -> {', '.join(OUTPUTS)}, is {got}")
    for name, wanted in _shapes(card).items():
        tensor = (inputs | outputs)[name]
        # The batch stays free, whatever name the exporter gave it.
        if tensor.type != "tensor(float)" or isinstance(tensor.shape[0], int) or tensor.shape[1:] != wanted:
            raise ArtefactError(f"{path}: {name}: wants float {['B', *wanted]}, is {tensor.type} {tensor.shape}")


def _shapes(card: Card) -> dict[str, list[int]]:
    findings, size = len(card.labels), card.preprocessing.canvas_size
    grid = [len(card.golden.heat_map), len(card.golden.heat_map[0])]
    return {
        "image": [1, size, size],
        "fusion": [findings],
        "global": [findings],
        "local": [findings],
        "heat_map": grid,
        "class_maps": [findings, *grid],
        "box": [4],
    }
