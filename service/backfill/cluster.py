"""A back-fill by the nodes of a Ray cluster: Ray Data moves files and rows, and does again what was lost.

All processes open the source and the artefact themselves, so these lie at the same path on every node. This process
writes the parts.
"""

import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import chain, islice, repeat
from queue import Empty, Queue
from threading import Thread

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from service.backfill.delivery import check_stores
from service.backfill.parts import Part, Parts
from service.backfill.stages import Batch, Deliverer, Network, read
from service.backfill.work import Progress, Work
from service.errors import ConfigurationError, TriageError

_READ_AT_ONCE = 32  # files of one call of a reader, whose canvases are in memory together
_SMALL_GROUPS, _GROWTH = 256, 8  # a group is a task; Ray takes 3 ms for each before it begins with the first
_BLOCK_BYTES = 2**25  # a block of canvases; one call of a reader fills it at 512 × 512 pixels
_CORES_PER_NETWORK = 4  # the network takes a fifth of the time of an uncompressed file, and less of others
_DELIVERERS = 8  # each holds two connections to the database, and a decoder process
_CONNECTION_SECONDS = 10.0
_STANDSTILL_SECONDS = 1800.0  # a batch of a slow archive takes minutes


def run(work: Work, references: Iterator[str], progress: Progress, address: str | None) -> None:
    """Predict files, and write a part for every `ROWS` of them and, however it ends, for the last ones.

    Without files, Ray does not start.

    Parameters
    ----------
    address
        Address of the cluster; without one, Ray starts on this machine.

    Raises
    ------
    Overloaded
        `source_unavailable`
    TriageError
        `unwritable`; `cluster_failed`: Ray could not go on.
    """
    grouped = groups(references)
    if (first := next(grouped, None)) is None:
        return
    check_stores(work)  # where a message of one line can say what is wrong
    part = Part(Parts(work.destination, work.table))
    with _joined(address):
        try:
            batches = _pipeline(work, chain([first], grouped)).iter_batches(batch_size=None)
            for batch in in_time(batches, _STANDSTILL_SECONDS):
                _add(part, batch, progress)
        except RayError as error:
            raise _cause(error) from error
        finally:
            part.write()


@contextmanager
def _joined(address: str | None) -> Iterator[None]:
    _check(address)
    on_stop = signal.getsignal(signal.SIGTERM)
    try:
        # `local`: without an address, Ray would join a cluster of somebody else that it finds on this machine
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, ValueError) as error:
        raise ConfigurationError(f"--address {address}: there is no Ray cluster ({type(error).__name__})") from None
    signal.signal(signal.SIGTERM, on_stop)  # Ray's own handler would end the process before the last rows are written
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = _BLOCK_BYTES
        context.raise_original_map_exception = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        with redirect_stdout(sys.stderr):  # Ray prints what it has lost
            yield
    finally:
        ray.shutdown()


def _check(address: str | None) -> None:
    """Refuse an address at which nothing listens; Ray would ask it for ever."""
    host, _, port = (address or "").rpartition(":")
    if not host or "/" in host:  # none, `auto`, or a URL
        return
    try:
        socket.create_connection((host, int(port)), _CONNECTION_SECONDS).close()
    except (OSError, ValueError):
        raise ConfigurationError(f"--address {address}: nothing answers there") from None


def in_time(batches: Iterable[Batch], seconds: float) -> Iterator[Batch]:
    """Yield batches; raise an error if one does not come within some seconds of the one before.

    Ray itself waits for ever if no node can do what a lost one did.

    Raises
    ------
    TriageError
        `cluster_failed`: none came in time.
    """
    made = Queue[Batch | Exception | None](1)

    def take() -> None:
        try:
            for batch in batches:
                made.put(batch)
            made.put(None)
        except Exception as error:
            made.put(error)

    Thread(target=take, name="batches", daemon=True).start()
    while True:
        try:
            batch = made.get(timeout=seconds)
        except Empty:
            message = f"the cluster has predicted no file for {seconds / 60:.0f} minutes; the same command goes on"
            raise TriageError(message, "cluster_failed") from None
        if isinstance(batch, Exception):
            raise batch
        if batch is None:
            return
        yield batch


def _add(part: Part, batch: Batch, progress: Progress) -> None:
    """Add rows to a part, and write it once it is complete."""
    for name, row in zip(batch["file"], batch["row"], strict=True):
        result = pickle.loads(row)  # noqa: S301 - from a process of this cluster
        if isinstance(result, str):
            progress.left[result] += 1
            continue
        progress.done += 1
        part.add(os.fsdecode(name), result)
        if part.is_complete:
            part.write()


def _pipeline(work: Work, grouped: Iterator[list[str]]) -> ray.data.Dataset:
    """Return the files with their rows.

    Only the tasks that read claim cores. If a lost node held the result of a task, any node can repeat the task. The
    result of an actor only that actor can make again, once it has started on another node, where it would wait for ever
    for a core that an idle actor holds.
    """
    blocks = [ray.put(pa.table({"file": pa.array(map(os.fsencode, names), pa.binary())})) for names in grouped]
    cores, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
    has_gpu = work.settings.runtime.provider == "cuda"
    networks = ActorPoolStrategy(min_size=1, max_size=max(1, gpus if has_gpu else cores // _CORES_PER_NETWORK))
    deliverers = ActorPoolStrategy(min_size=1, max_size=min(max(1, cores), _DELIVERERS))
    files = ray.data.from_arrow_refs(blocks)
    canvases = files.map_batches(
        read, batch_size=_READ_AT_ONCE, fn_args=(pickle.dumps(work),), num_cpus=1, zero_copy_batch=True
    )
    predicted = canvases.map_batches(
        Network,
        batch_size=work.settings.runtime.max_batch,
        compute=networks,
        fn_constructor_args=(work,),
        num_cpus=0,
        num_gpus=int(has_gpu),
        zero_copy_batch=True,
    )
    if work.delivers:
        predicted = predicted.map_batches(
            Deliverer, batch_size=_READ_AT_ONCE, compute=deliverers, fn_constructor_args=(work,), num_cpus=0
        )
    return predicted


def groups(references: Iterator[str]) -> Iterator[list[str]]:
    """Yield names in groups, one for each task; those of a large archive are larger, so that there are fewer."""
    sizes = chain(repeat(_READ_AT_ONCE, _SMALL_GROUPS), repeat(_READ_AT_ONCE * _GROWTH))
    while names := list(islice(references, next(sizes))):
        yield names


def _cause(error: BaseException) -> TriageError:
    """Return the error of ours that Ray has wrapped, or one that names Ray's."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, TriageError):
        inner = getattr(inner, "cause", None) or inner.__cause__
    return inner or TriageError(f"the cluster failed: {type(error).__name__}", "cluster_failed")
