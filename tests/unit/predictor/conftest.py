"""A made-up accuracy on NAS-Bench-201: a sum over edges, which can be learnt; no test columns."""

import numpy as np
import pandas as pd
import pytest

from parsec.space.nasbench201 import OPERATIONS, SIZE, architectures
from parsec.tabular.nasbench201 import DATA, VALIDATION_12, NasBench201, read_search_columns

WORTH = dict(zip(OPERATIONS, (0.0, 3.0, 5.0, 7.0, 1.0), strict=True))


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Path of the table; it holds nothing that was measured on test images."""
    accuracy = [30 + sum(WORTH[name] * (1 + place / 6) for place, name in enumerate(a.operations)) / 1.4
                for a in architectures()]  # fmt: skip
    noise = np.random.default_rng(0).normal(0, 0.3, SIZE)
    rows = {"arch_index": range(SIZE), "arch_str": [str(arch) for arch in architectures()]}
    rows |= {VALIDATION_12[data]: accuracy + noise for data in DATA}
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pd.DataFrame(rows).to_parquet(path, index=False)
    return path


@pytest.fixture(scope="session")
def problem(table):
    return NasBench201(read_search_columns(table))
