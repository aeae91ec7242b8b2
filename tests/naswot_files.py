"""Files that the tables and figures on NASWOT read, with numbers that are all invented."""

from pathlib import Path

import numpy as np
import pandas as pd

from parsec.records.parquet import ABLATION_FILE, KERNELS_FILE, SCORES_FILE
from parsec.space.nasbench201 import SIZE, architectures
from parsec.tabular.nasbench201 import DATA
from parsec.tabular.simulate import SIMULATIONS_FILE

BUDGET = 60
NETWORKS, REPEATS = 4, 3
ABLATED = {
    "images": lambda network, repeat: 10.0 * network + repeat,
    # The mean of three such numbers is not always the number.
    "weights-identity": lambda network, repeat: -0.7 * network,
    "batch-32": lambda network, repeat: None if network == repeat == 0 else 10.0 * network,
}
"""Scores by condition that rise with the network, fall with it, or fail once."""


def invented_truth():
    """Random accuracies in the columns of NAS-Bench-201."""
    random = np.random.default_rng(0)
    names = [f"{data}_{kind}" for data in DATA for kind in ("val_12", "test_200")] + ["naslib_cifar10_val_200"]
    columns = {name: random.uniform(20, 95, SIZE) for name in names}
    return pd.DataFrame({"arch_index": range(SIZE), "arch_str": [str(arch) for arch in architectures()], **columns})


def write_some_scores(path, truth, noise=0.0, space="nasbench201", count=200, seed=0):
    """Scores of the first architectures: CIFAR-10 test accuracy and noise by seed; the last one failed."""
    drawn = truth["cifar10_test_200"][:count] + noise * np.random.default_rng(1 + seed).normal(size=count)
    rows = [_score(index, None if index == count - 1 else score) for index, score in enumerate(drawn)]
    settings = {"space": space, "dataset": "cifar10", "score": {"kind": "relu_log_determinant", "mode": "train"}}
    SCORES_FILE.write(path, rows, {"seed": seed, "provenance": {"settings": settings}})
    return path


def _score(index, score):
    failed = {"status": "failed", "reason": "made up"} if score is None else {"status": "scored", "reason": None}
    return {"architecture": str(architectures()[index]), "index": index, "score": score, "seconds": 0.1, **failed}


def write_some_simulations(path, seconds=None):
    """Two repeats of two searches: number 7 at once and a better one later; with a budget in seconds, 10 a training."""
    rows = [
        {"method": method, "repeat": repeat, "trained": trained, "architecture": arch, "accuracy": float(trained)}
        for method, late in {"random": 40, "evolution": 20}.items()
        for repeat in range(2)
        for trained, arch in ((1, 7), (late + repeat, 100 + repeat))
    ]
    settings = {"space": "nasbench201", "dataset": "cifar10", "budget": BUDGET, "repeats": 2, "seconds": seconds}
    rows = [row | {"seconds": None if seconds is None else 10.0 * row["trained"]} for row in rows]
    SIMULATIONS_FILE.write(path, rows, {"provenance": {"settings": settings}})
    return path


def write_some_ablation(path):
    """Scores of four networks under the conditions of `ABLATED`."""
    rows = [
        {"condition": name, "repeat": repeat, **_score(network, score(network, repeat))}
        for name, score in ABLATED.items()
        for repeat in range(REPEATS)
        for network in range(NETWORKS)
    ]
    conditions = [{"name": name, "varies": "images"} for name in ABLATED]
    settings = {"dataset": "cifar10", "conditions": conditions}
    ABLATION_FILE.write(path, rows, {"seed": 0, "provenance": {"settings": settings}})
    return path


def write_some_kernels(path):
    """Kernels of two networks in each of two bins."""
    kernel = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    rows = [
        {"low": low, "high": low + 50.0, "index": index, "accuracy": low + index, "kernel": kernel.ravel()}
        for low in (0.0, 50.0)
        for index in range(2)
    ]
    KERNELS_FILE.write(path, rows, {"seed": 0})
    return path


def figure_inputs(folder: Path) -> dict[str, list[Path]]:
    """Inputs of every figure on NASWOT, written into `folder`."""
    truth, benchmark = invented_truth(), folder / "nasbench201.parquet"
    truth.to_parquet(benchmark, index=False)
    scores = write_some_scores(folder / "scores.parquet", truth, noise=5.0)
    return {
        "naswot-ablation": [benchmark, write_some_ablation(folder / "ablation.parquet")],
        "naswot-cost": [benchmark, write_some_simulations(folder / "simulations.parquet"), scores],
        "naswot-kernels": [write_some_kernels(folder / "kernels.parquet")],
        "naswot-scatter": [benchmark, scores],
    }
