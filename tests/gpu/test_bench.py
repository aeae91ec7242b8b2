"""The benchmark on a GPU: events time what the device did, and every contender runs there."""

import json
import time

import pytest
import torch

from parsec.bench.harness import in_turn, stopwatch_for
from parsec.cli import main


def test_cuda_events_time_asynchronous_work():
    device = torch.device("cuda", 0)
    left = torch.randn(4096, 4096, device=device)

    def products():
        for _ in range(50):
            left @ left

    def none():
        pass

    stopwatch = stopwatch_for(device)
    in_turn({"products": products}, 1, stopwatch)
    began = time.perf_counter()
    products()
    queued = time.perf_counter() - began
    times = in_turn({"products": products, "none": none}, 3, stopwatch)
    assert times["products"].median > queued
    assert times["none"].median < 0.1 * times["products"].median


@pytest.mark.parametrize("what", ["search", "retrain", "memory", "loader"])
def test_every_benchmark_runs_on_a_gpu(what, tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert main(["bench", what, "--tiny", "--device", "cuda", "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document["device"] == torch.cuda.get_device_name()
    printed = capsys.readouterr().out
    for comparison in document["comparisons"]:
        assert comparison["title"] in printed
        assert all(row.get("median", row.get("peak_bytes")) > 0 for row in comparison["rows"])
