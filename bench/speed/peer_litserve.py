"""The same behind LitServe, as its documentation shows images: base64 in JSON, two workers."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found]

from bench.speed.peer_model import Model


class Triage(litserve.LitAPI):  # type: ignore[misc]
    """The four steps of LitServe."""

    def setup(self, device: str) -> None:
        self._model = Model(Path(os.environ["PEER_ARTEFACT"]), threads=1)

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["file"])

    def predict(self, data: bytes) -> dict[str, Any]:
        return self._model.predict(data)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Triage(), accelerator="cpu", workers_per_device=2, timeout=120, max_payload_size=10**9)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
