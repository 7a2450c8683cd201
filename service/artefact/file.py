"""The artefact: one ONNX file with the whole network and, in its metadata, the card that describes it."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime as ort
from pydantic import ValidationError

from service.artefact.card import Card
from service.errors import ArtefactError

ENTRY = "agcnn"  # key of the card in the metadata
OUTPUTS = ("fusion", "global", "local", "heat_map", "class_maps", "box")  # in the order of the graph


def output_names(second_look: bool) -> tuple[str, ...]:
    """Return the outputs of a graph in its order; without a second look there is no `local`."""
    return tuple(name for name in OUTPUTS if second_look or name != "local")


@dataclass(frozen=True)
class Artefact:
    """A file whose card, inputs and outputs fit the contract; not yet tested on a provider (see `Session.prove`).

    Attributes
    ----------
    sha256
        SHA-256 of the file, lower-case hex.
    model
        Bytes of the file; sessions are made from these, so that the file that was hashed is the one that runs.
    """

    card: Card
    sha256: str
    path: Path
    model: bytes = field(repr=False)


def load(path: Path, sha256: str | None = None) -> Artefact:
    """Read and check an artefact.

    Parameters
    ----------
    sha256
        Expected SHA-256 of the file, lower-case hex; None accepts any.

    Raises
    ------
    ArtefactError
        The file is missing, has another SHA-256, is not ONNX, keeps tensors in another file or uses operators of
        another domain; the card is missing or invalid (the message names the field); or the inputs or outputs differ
        from the contract. The message is one line.
    """
    model = _read(path)
    digest = hashlib.sha256(model).hexdigest()
    if sha256 is not None and digest != sha256:
        raise ArtefactError(f"{path}: expected SHA-256 {sha256}, got {digest}", "artefact_digest")
    session = _open(path, model)
    card = _card(path, session.get_modelmeta().custom_metadata_map)
    _check_signature(path, session, card)
    return Artefact(card, digest, path, model)


def isolate(options: ort.SessionOptions) -> None:
    """Stop a model from reading other files: external tensors are looked up in a folder that cannot exist."""
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
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise ArtefactError(f"{path}: {_cause(str(error))}") from None


def _cause(message: str) -> str:
    line = " ".join(message.split("\n")[0].split())
    if "xternal data" in line:
        return "not self-contained, some tensors are in another file"
    if unknown := re.search(r"(\S+)\(-?\d+\) is not a registered function/op", line):
        return f"uses operators that ONNX Runtime does not have: {unknown[1]}"
    if "INVALID_PROTOBUF" in line or "No graph was found" in line:
        return "not an ONNX file, or truncated"
    return "ONNX Runtime refuses it: " + line


def _card(path: Path, metadata: dict[str, str]) -> Card:
    if ENTRY not in metadata:
        raise ArtefactError(f"{path}: no metadata entry {ENTRY!r}, so it is not an artefact of this project")
    try:
        return Card.model_validate_json(metadata[ENTRY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field_name = ".".join([ENTRY, *map(str, first["loc"])])
        raise ArtefactError(f"{path}: {field_name}: {first['msg'].removeprefix('Value error, ')}") from None


def _check_signature(path: Path, session: ort.InferenceSession, card: Card) -> None:
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    outputs = {tensor.name: tensor for tensor in session.get_outputs()}
    expected, shapes = output_names(card.network.second_look), _shapes(card)
    if set(inputs) != {"image"} or set(outputs) != set(expected):
        got = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        raise ArtefactError(f"{path}: expected image -> {', '.join(expected)}, got {got}")
    for name in ("image", *expected):
        shape = shapes[name]
        tensor = (inputs | outputs)[name]
        # The batch dimension must be dynamic, whatever name the exporter gave it.
        if tensor.type != "tensor(float)" or isinstance(tensor.shape[0], int) or tensor.shape[1:] != shape:
            raise ArtefactError(f"{path}: {name}: expected float {['B', *shape]}, got {tensor.type} {tensor.shape}")


def _shapes(card: Card) -> dict[str, list[int]]:
    """Return the shape of every input and possible output without the batch."""
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
