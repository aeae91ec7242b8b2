"""A made-up table of NAS-Bench-201 and scores of it: every number here is invented."""

import pytest
from naswot_files import invented_truth, write_some_scores


@pytest.fixture(scope="session")
def truth():
    """Random accuracies in the benchmark's columns."""
    return invented_truth()


@pytest.fixture(scope="session")
def benchmark(truth, tmp_path_factory):
    """File of `truth`."""
    path = tmp_path_factory.mktemp("benchmark") / "nasbench201.parquet"
    truth.to_parquet(path, index=False)
    return path


@pytest.fixture
def scores(truth, tmp_path):
    """A function changes → a `scores.parquet`; see `write_some_scores`."""
    return lambda **changes: write_some_scores(tmp_path / f"scores{changes.get('seed', 0)}.parquet", truth, **changes)
