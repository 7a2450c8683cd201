"""A back-fill on two nodes of Ray, which lose a process, a node and the command."""

from pathlib import Path

from bench import backfill


def test_nothing_is_lost_or_doubled_by_a_killed_worker_node_and_command(tmp_path: Path) -> None:
    text = backfill.kill_all(backfill.arguments(["--kill", "--files", "1100", "--side", "256"]), tmp_path)
    assert "1100 files with one row each" in text
