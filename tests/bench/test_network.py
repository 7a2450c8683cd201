"""Every figure of `bench.network` is computed, at its smallest size."""

from bench import network


def test_each_way_to_compute_a_network_is_measured() -> None:
    words = "--networks squeezenet1_1 --batches 1 --threads 1 --rounds 1 --profile"

    report = network.measure(network.arguments(words.split()))

    lines = [line for line in report.splitlines() if line.startswith("| squeezenet1_1 ")]
    ways = [line.split("|")[4].strip() for line in lines[:-2]]
    assert [way for way in ways if way != "OpenVINO f32"] == ["ORT f32", "torch eager", "ORT INT8"]
    assert lines[0].endswith(" 1.00 |")
    assert "- squeezenet1_1, ORT f32 over torch eager: " in report
    assert "Conv " in lines[-2]
    assert "QLinearConv " in lines[-1]
