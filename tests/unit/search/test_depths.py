"""Memory against depth: one row per method and depth, and the paper's numbers: one child, and all primitives."""

import json

from parsec.bench.memory import measure_depths
from parsec.config.search import DepthsJob


def test_mixture_needs_more_memory(digits, make_job, tmp_path):
    images = {"train_images": 16, "validation_images": 16}
    methods = tuple(make_job(method=name, **images) for name in ("parsec", "darts", "gdas"))
    measure_depths(DepthsJob(methods=methods, depths=(3, 6)), digits, tmp_path / "depths.json")
    rows = json.loads((tmp_path / "depths.json").read_text())["rows"]
    peaks = {(row["method"], row["executor"], row["cells"]): row["peak_bytes"] for row in rows}
    kinds = (("parsec", "sequential"), ("parsec", "auto"), ("darts", "auto"), ("gdas", "auto"))
    assert list(peaks) == [(*kind, cells) for kind in kinds for cells in (3, 6)]
    for cells in (3, 6):
        assert peaks["darts", "auto", cells] > 1.5 * peaks["parsec", "sequential", cells]
    assert all(peaks[(*kind, 6)] > peaks[(*kind, 3)] for kind in kinds)
