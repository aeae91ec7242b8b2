"""The measurement: a row for one child alone, for every executor and K, and for DARTS, as the job describes."""

import json

from parsec.bench.memory import measure
from parsec.config.base import Compute
from parsec.config.search import Measure, MeasureJob
from parsec.config.training import Augmentation, Network


def test_one_row_per_setting(digits, tmp_path):
    job = MeasureJob(
        stage="search",
        space="darts",
        network=Network(cells=3, channels=2),
        batch_size=4,
        train_images=8,
        augmentation=Augmentation(padding=1, size=7),
        measure=Measure(samples=(1, 2), repeats=1),
        compute=Compute(device="cpu", precision="float32"),
    )
    measure(job, digits, tmp_path / "executor.json")
    document = json.loads((tmp_path / "executor.json").read_text())
    rows = [(row["setting"], row["executor"], row["samples"]) for row in document["rows"]]
    steps = [("search step", executor, samples) for executor in ("sequential", "grouped") for samples in (1, 2)]
    assert rows == [("one child trained alone", "sequential", 1), *steps, ("DARTS supernet", "darts", 1)]
    alone, *searches, darts = (row["peak_bytes"] for row in document["rows"])
    peaks = {(executor, samples): peak for (_, executor, samples), peak in zip(steps, searches, strict=True)}
    assert peaks["grouped", 1] < peaks["grouped", 2], "two children are in flight"
    assert peaks["sequential", 2] < peaks["grouped", 2]
    assert alone < peaks["sequential", 1], "the supernet has the weights of all children"
    assert darts > 2 * max(searches)
    assert all(row["seconds_spread"] == [row["seconds"]] * 2 for row in document["rows"]), "there is one repeat"
    assert (document["network"]["channels"], document["batch_size"], document["image_size"]) == (2, 4, 7)
