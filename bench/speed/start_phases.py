"""Where the time of a start goes, measured in a fresh process: prints the milliseconds of each phase as JSON."""

import gc
import json
import os
import sys
import time

MOMENTS = [("", time.perf_counter())]


def reached(phase: str) -> None:
    MOMENTS.append((phase, time.perf_counter()))


os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import service.cli.app  # noqa: E402

gc.disable()  # as `service.cli.serve`
reached("import of the command line")

import onnxruntime  # noqa: E402, F401

reached("import of ONNX Runtime")

import uvicorn  # noqa: E402, F401

import service.http.app  # noqa: E402
import service.http.server  # noqa: E402

reached("import of the application")

from service import settings  # noqa: E402

loaded = settings.load()
app = service.http.app.create_app(loaded)
reached("creation of the application (artefact, database, routes)")

from service.artefact.file import load  # noqa: E402
from service.inference.session import Session  # noqa: E402

artefact = load(loaded.model.path)
reached("(the artefact again, alone)")
session = Session(artefact, loaded.runtime.provider, loaded.runtime.threads)
reached("session of the network")
session.prove(1)
reached("golden self-test")

json.dump({phase: 1000 * (moment - MOMENTS[n][1]) for n, (phase, moment) in enumerate(MOMENTS[1:])}, sys.stdout)
