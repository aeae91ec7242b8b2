"""A made-up table of NAS-Bench-201 and scores of it: every number here is invented."""

import numpy as np
import pandas as pd
import pytest

from parsec.benchmarks.nasbench201 import DATA
from parsec.scores.table import write_scores
from parsec.space.nasbench201 import SIZE, architectures

SCORED = 200


@pytest.fixture(scope="session")
def truth():
    """Random accuracies in the benchmark's columns."""
    random = np.random.default_rng(0)
    names = [f"{data}_{kind}" for data in DATA for kind in ("val_12", "test_200")] + ["naslib_cifar10_val_200"]
    columns = {name: random.uniform(20, 95, SIZE) for name in names}
    return pd.DataFrame({"arch_index": range(SIZE), "arch_str": [str(found) for found in architectures()], **columns})


@pytest.fixture(scope="session")
def benchmark(truth, tmp_path_factory):
    """File of `truth`."""
    path = tmp_path_factory.mktemp("benchmark") / "nasbench201.parquet"
    truth.to_parquet(path, index=False)
    return path


@pytest.fixture
def scores(truth, tmp_path):
    """A function noise → a `scores.parquet` of 200 architectures: CIFAR-10 test accuracy and noise; the last failed."""

    def make(noise=0.0, space="nasbench201", name="scores", count=SCORED):
        drawn = truth["cifar10_test_200"][:count] + noise * np.random.default_rng(1).normal(size=count)
        rows = [
            {
                "architecture": str(architectures()[index]),
                "index": index,
                "score": None if index == count - 1 else score,
                "status": "failed" if index == count - 1 else "scored",
                "reason": "made up" if index == count - 1 else None,
                "seconds": 0.1,
            }
            for index, score in enumerate(drawn)
        ]
        settings = {"space": space, "dataset": "cifar10", "score": {"kind": "relu_log_determinant", "mode": "train"}}
        write_scores(tmp_path / f"{name}.parquet", rows, {"seed": 0, "provenance": {"settings": settings}})
        return tmp_path / f"{name}.parquet"

    return make
