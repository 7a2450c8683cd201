"""The session: an artefact loaded into ONNX Runtime, on a provider that is checked to be in use."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from service.artefact.file import Artefact, isolate, output_names
from service.artefact.golden import golden_canvas
from service.errors import ArtefactError, ConfigurationError, InferenceFailed
from service.inference.provider import CUDA_OPTIONS, Provider, choose, processors
from service.settings import Runtime

# Tolerance of probabilities and heat map. Processors differ by 1e-5 (order of sums, vector width), so 1e-3 accepts any
# processor and still detects other weights; on a GPU, convolutions may use other algorithms.
TOLERANCE: dict[Provider, float] = {"cpu": 1e-3, "cuda": 5e-3}
# Tolerance of the box, in canvas pixels: its edge is where the map crosses τ, so it moves by the map's error divided by
# the map's slope, and cells are 70 to 130 pixels wide.
BOX_TOLERANCE: dict[Provider, float] = {"cpu": 1.0, "cuda": 4.0}


@dataclass(frozen=True)
class Outputs:
    """The network's outputs for one canvas.

    Attributes
    ----------
    fusion, global_, local
        `[K] float32`, calibrated probabilities; `local` is None without a second look.
    heat_map
        `[h, w] float32 in [0, 1]`.
    class_maps
        `[K, h, w] float32`, logits.
    box
        (x0, y0, x1, y1) in [0, 1] of the canvas, exclusive end.
    """

    fusion: np.ndarray
    global_: np.ndarray
    local: np.ndarray | None
    heat_map: np.ndarray
    class_maps: np.ndarray
    box: tuple[float, float, float, float]


class Session:
    """A network ready to run.

    Parameters
    ----------
    provider
        `cuda`: a GPU or an error; `cpu`; `auto`: a GPU if there is one.
    threads
        Processor threads of a run; 0 uses as many as the container may use.

    Attributes
    ----------
    provider, reason
        The provider in use, and why it was chosen, for people.

    Raises
    ------
    ConfigurationError
        Code `provider_unavailable`: CUDA is not available, or ONNX Runtime cannot use the GPU.
    ArtefactError
        ONNX Runtime cannot create a session from the artefact.
    """

    def __init__(self, artefact: Artefact, provider: Literal["auto", "cuda", "cpu"] = "auto", threads: int = 0) -> None:
        self.artefact = artefact
        self.provider, self.reason = choose(provider)
        self.threads = threads or processors()
        self._names = output_names(artefact.card.network.second_look)
        self._session = _make(artefact, self.provider, self.threads)

    def run(self, canvases: np.ndarray) -> list[Outputs]:
        """Run the network on `[B, 1, S, S] float32 in [0, 1]`, B at least 1, and return B outputs.

        Raises
        ------
        InferenceFailed
            Shape or type is wrong, ONNX Runtime fails, or an output is not finite.
        """
        size = self.artefact.card.preprocessing.canvas_size
        if canvases.dtype != np.float32 or canvases.ndim != 4 or canvases.shape[1:] != (1, size, size):
            raise InferenceFailed(
                f"canvases: expected float32 [B, 1, {size}, {size}], got {canvases.dtype} {list(canvases.shape)}"
            )
        batch = _pad(canvases) if self.provider == "cuda" else canvases
        try:
            outputs = list(map(np.asarray, self._session.run(self._names, {"image": np.ascontiguousarray(batch)})))
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise InferenceFailed(f"ONNX Runtime: {str(error).splitlines()[0]}") from error
        if not all(np.isfinite(output).all() for output in outputs):
            raise InferenceFailed("an output of the network is not finite")
        rows = zip(*(output[: len(canvases)] for output in outputs), strict=True)
        return [_of_one(dict(zip(self._names, row, strict=True))) for row in rows]

    def prove(self, max_batch: int = 1) -> None:
        """Run the golden self-test on the provider in use; on a GPU at each batch size, which also warms it up.

        Raises
        ------
        ArtefactError
            Code `golden_mismatch`: an output differs from the golden one by more than the tolerance.
        InferenceFailed
            The network does not run at all.
        """
        card = self.artefact.card
        canvas = golden_canvas(card.golden.seed, card.preprocessing.canvas_size)
        for batch in buckets(max_batch) if self.provider == "cuda" else (1,):
            for outputs in self.run(np.repeat(canvas, batch, 0)):
                self._compare(outputs)

    def _compare(self, outputs: Outputs) -> None:
        golden, quantisation = self.artefact.card.golden, self.artefact.card.quantisation
        probability = heat_map = TOLERANCE[self.provider]
        box = BOX_TOLERANCE[self.provider]
        if quantisation is not None:
            probability = max(probability, quantisation.tolerance.probability)
            heat_map = max(heat_map, quantisation.tolerance.heat_map)
            box = max(box, quantisation.tolerance.box)
        pairs: dict[str, tuple[Any, Any, float]] = {
            "fusion": (golden.fusion, outputs.fusion, probability),
            "global": (golden.global_, outputs.global_, probability),
            **({} if golden.local is None else {"local": (golden.local, outputs.local, probability)}),
            "heat_map": (golden.heat_map, outputs.heat_map, heat_map),
            "box": (golden.box, outputs.box, box / self.artefact.card.preprocessing.canvas_size),
        }
        for name, (expected, got, allowed) in pairs.items():
            difference = float(np.abs(np.subtract(expected, got)).max())
            if difference > allowed:
                raise ArtefactError(
                    f"{self.artefact.path}: golden self-test on {self.provider}: {name} is off by {difference:.2g}, "
                    f"allowed {allowed:.2g}",
                    "golden_mismatch",
                )


def proven_session(artefact: Artefact, runtime: Runtime) -> Session:
    """Make the session that the settings ask for, and check it against the golden outputs.

    Raises
    ------
    ArtefactError, ConfigurationError
    """
    session = Session(artefact, runtime.provider, runtime.threads)
    try:
        session.prove(runtime.max_batch)
    except InferenceFailed as error:
        raise ArtefactError(f"{artefact.path}: golden self-test: {error.message}", "golden_failed") from error
    return session


def buckets(largest: int) -> tuple[int, ...]:
    """Return the batch sizes on a GPU: powers of two up to the first that is at least `largest`."""
    return tuple(2**n for n in range((largest - 1).bit_length() + 1))


def _make(artefact: Artefact, provider: Provider, threads: int) -> ort.InferenceSession:
    providers: list[Any] = ["CPUExecutionProvider"]
    if provider == "cuda":
        providers.insert(0, ("CUDAExecutionProvider", CUDA_OPTIONS))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints libraries that it finds elsewhere later
            ort.preload_dlls()
    try:
        session = ort.InferenceSession(artefact.model, _options(threads), providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise ArtefactError(f"{artefact.path}: no session on {provider}: {str(error).splitlines()[0]}") from None
    # ONNX Runtime falls back to the CPU without an error if a CUDA library is missing.
    if session.get_providers()[0] != ("CUDAExecutionProvider" if provider == "cuda" else "CPUExecutionProvider"):
        raise ConfigurationError(
            "provider cuda: there is a GPU, but ONNX Runtime could not load CUDA 13 or cuDNN 9; "
            "TRIAGE_RUNTIME__PROVIDER=cpu needs neither",
            "provider_unavailable",
        )
    session.disable_fallback()
    return session


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads must not take processor time from the decoder processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    isolate(options)
    return options


def _pad(canvases: np.ndarray) -> np.ndarray:
    missing = buckets(len(canvases))[-1] - len(canvases)
    return np.concatenate([canvases, np.repeat(canvases[-1:], missing, 0)]) if missing else canvases


def _of_one(values: dict[str, np.ndarray]) -> Outputs:
    x0, y0, x1, y1 = values["box"].tolist()
    return Outputs(
        values["fusion"],
        values["global"],
        values.get("local"),
        values["heat_map"],
        values["class_maps"],
        (x0, y0, x1, y1),
    )
