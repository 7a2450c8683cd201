"""The sections of bench/RESULTS.md at a small size: every one measures, says something and writes it."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from bench.prevalence import ROOT
from bench.processes import tree, tree_mib
from bench.speed import archive, codecs, command, floor, machine, memory, open_loop, peers, start, throughput
from bench.speed.client import Answer, Connection, Request
from bench.speed.figure import Figure, bars
from bench.speed.films import Film
from bench.speed.kept import Kept
from bench.speed.section import Run, Section
from bench.speed.sections import SECTIONS
from bench.speed.size import SMALL
from tests.service.dimse.serving import Process

MARK = "{}: python -m bench.speed --write"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with command.running(tmp_path_factory.mktemp("service")) as process:
        yield process


def measured(section: Section, folder: Path, process: Process | None = None) -> Kept:
    """Measure a section at the small size, and return its rows."""
    kept = Kept(folder / f"{section.name}.jsonl", "sources")
    address, pid = (process.address, process.process.pid) if process else ("", 0)
    section.measure(Run(SMALL, kept, folder, address, pid))
    return kept


def test_the_floor_and_the_service_are_compared(served: Process, tmp_path: Path) -> None:
    results = {
        "floor": measured(floor.SECTION, tmp_path).rows,
        "throughput": measured(throughput.SECTION, tmp_path, served).rows,
    }
    assert set(results["floor"]["uncompressed, 1"]["parts_ms"]) == set(floor.PARTS)
    assert 0 < results["floor"]["hash share"] < 1
    figures = [*floor.report(results).figures, *throughput.report(results).figures]
    assert all(figure.value for figure in figures if "before the work" not in figure.name)


def test_plain_fastapi_answers_the_same_films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LITSERVE", tmp_path / "none")  # CI does not install it
    rows = measured(peers.SECTION, tmp_path).rows
    assert {f"{peers.FASTAPI}, {clients}" for clients in (1, 2, 8)} <= set(rows)
    assert peers.report({"peers": rows}).text


def test_requests_that_arrive_at_random_are_answered(served: Process, tmp_path: Path) -> None:
    # So few that the service has places for all, also if it is stopped meanwhile; another test measures the capacity.
    Kept(tmp_path / "open_loop.jsonl", "sources").once("capacity", lambda: {"rate": 20.0})
    rows = measured(open_loop.SECTION, tmp_path, served).rows
    assert rows["moderate"]["answered"] == rows["moderate"]["requests"] > 0
    assert "goodput" in open_loop.report({"open_loop": rows}).text


def test_a_refusal_reaches_clients_that_wait_and_clients_that_do_not() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        answered = threading.Barrier(2)  # closing earlier could reset what the client has not read

        def refuse() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(2**16)
                    connection.sendall(refusal)
                    answered.wait()

        future = thread.submit(refuse)
        request = Request("/v1/predictions", "application/dicom", [bytes(2**24)])
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for post in (Connection.post_if_admitted, Connection.post_until_answered):
            with Connection(address) as connection:
                answer = post(connection, request)
            answered.wait()
            assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "5", b"{}")
        future.result()


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_an_ideal_queue_has_the_mean_time_of_theory(load: float) -> None:
    """Pollaczek and Khinchine, one server and a constant time: load / (2 (1 - load)) of waiting, and 1 of service."""
    mean = fmean(open_loop.queue_times(load, 1))
    assert mean == pytest.approx(1 + load / (2 * (1 - load)), rel=0.02)


def test_many_servers_of_an_ideal_queue_keep_nobody_waiting() -> None:
    assert set(map(round, open_loop.queue_times(0.01, 4, 1000))) == {4}


def test_refusals_and_goodput_are_counted_within_the_window() -> None:
    refused = Answer(503, {"retry-after": "5"}, b"")
    exchanges = [
        *(open_loop.Exchange(due, due, due + 0.5, Answer(200, {}, b"")) for due in (0.0, 1.0, 1.8)),  # the last is late
        open_loop.Exchange(1.0, 1.0, 1.01, refused),
        open_loop.Exchange(1.0, 1.0, 1.02, refused),
        open_loop.Exchange(1.0, 1.0, 1.03, Answer(503, {}, b"")),
        open_loop.Exchange(1.0, 1.0, 1.0, None),
        open_loop.Exchange(1.0, 1.0, 3.0, replace(refused, admitted=True)),
    ]
    row = open_loop.crowded(exchanges, 1, 2)
    assert (row["goodput"], row["refused"], row["without Retry-After"], row["closed without an answer"]) == (1, 4, 1, 1)
    assert row["refused after the body"] == 1
    assert row["refusal"]["p99"] == pytest.approx(0.0298)
    assert row["refusal of impatient clients"]["p50"] == pytest.approx(0.02)


def test_the_archives_hold_what_was_sent(served: Process, tmp_path: Path) -> None:
    rows = measured(archive.SECTION, tmp_path, served).rows
    assert len(rows) == len(archive.MIXES) * len(archive.PROTOCOLS) * len(archive.ARCHIVES)
    assert all(figure.value for figure in archive.report({"archive": rows}).figures)


def test_memory_is_that_of_all_processes(served: Process, tmp_path: Path) -> None:
    own = tree_mib(served.process.pid)
    assert own > 100
    assert len(tree(served.process.pid)) > 2
    [curve] = measured(memory.SECTION, tmp_path, served).rows.values()
    assert max(curve) < 10 * own


def test_decoders_are_compared(tmp_path: Path) -> None:
    rows = measured(codecs.SECTION, tmp_path).rows
    assert all(figure.value for figure in codecs.report({"codecs": rows}).figures)


def test_a_start_is_measured(tmp_path: Path) -> None:
    rows = measured(start.SECTION, tmp_path).rows
    assert rows["new folder"][0][1] >= rows["new folder"][0][0] > 0
    assert rows["phases"]["golden self-test"] > 0
    assert "sqlalchemy" in start.report({"start": rows}).text


def test_a_cut_run_goes_on_and_other_sources_begin_again(tmp_path: Path) -> None:
    def fail() -> int:
        raise AssertionError("measured twice")

    path = tmp_path / "rows.jsonl"
    assert Kept(path, "a").once("x", lambda: 1) == 1
    assert Kept(path, "a").once("x", fail) == 1
    assert Kept(path, "b").once("x", lambda: 2) == 2


def test_every_section_has_its_mark_on_the_page_and_fills_it(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text((ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8"), encoding="utf-8")
    rows = measured(machine.SECTION, tmp_path).rows
    command.write(page, SECTIONS, {"machine": rows})
    text = page.read_text(encoding="utf-8")
    assert all(text.count(f"<!-- {MARK.format(section.name)} -->") == 1 for section in SECTIONS)
    assert rows["software"] in text
    assert "| not measured |" in text


def test_a_bar_is_compared_with_the_value_that_is_shown() -> None:
    assert Figure("a", "≥", 0.85, 0.846).met
    assert not Figure("a", "≥", 0.85, 0.844).met
    assert not Figure("a", "≤", 1.5, None).met
    assert "| a | ≤ 1.5 s | 1.60 s | short |" in bars([Figure("a", "≤", 1.5, 1.6, " s")])


def test_the_figures_of_another_program_are_read_from_its_output() -> None:
    [section] = [each for each in SECTIONS if each.name == "worklist"]
    [figure] = section.report({"worklist": {"output": "first page of 50                      6.6 ms\n"}}).figures
    assert (figure.value, figure.met) == (6.6, True)
    assert section.report({}).figures[0].value is None
    with pytest.raises(ValueError, match="is expected in the output"):
        section.report({"worklist": {"output": "6.6"}})


def test_copies_of_a_film_differ_in_their_uids_only() -> None:
    data = b"2.25.31100000000000 and 2.25.32100000000000" + bytes(5000)
    film = Film("uncompressed", data)
    first, second = b"".join(film.copy()), b"".join(film.copy())
    assert first != second
    assert len(first) == len(second) == len(data)
