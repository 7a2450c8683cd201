"""A radiograph through the network as somebody would write it in an hour; nothing of `service` is used.

There are no bounds, no gate, no identity, and nothing is stored. Only the values of one window are handled.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pydicom
from PIL import Image


class Model:
    """The artefact in ONNX Runtime; `threads` 0 leaves the number to it."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._labels = json.loads(self._session.get_modelmeta().custom_metadata_map["agcnn"])["labels"]
        self._size = self._session.get_inputs()[0].shape[-1]

    def predict(self, data: bytes) -> dict[str, Any]:
        """Return the probabilities and the box of a DICOM file."""
        outputs = self._session.run(["fusion", "box"], {"image": self._canvas(data)[None, None]})
        fusion, box = (np.asarray(output)[0].tolist() for output in outputs)
        return {"probabilities": dict(zip(self._labels, fusion, strict=True)), "box": box}

    def _canvas(self, data: bytes) -> np.ndarray:
        dataset = pydicom.dcmread(io.BytesIO(data))
        pixels = dataset.pixel_array.astype(np.float32)
        low = float(dataset.WindowCenter) - float(dataset.WindowWidth) / 2
        grey = np.clip((pixels - low) / float(dataset.WindowWidth), 0, 1)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            grey = 1 - grey
        small = Image.fromarray(grey).resize((self._size, self._size), Image.Resampling.BILINEAR)
        return np.asarray(small, np.float32)
