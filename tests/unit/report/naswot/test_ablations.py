"""The table and the figure of ablations: spread within and between networks, and their order."""

import numpy as np
import pandas as pd
import pytest
from naswot_files import ABLATED, NETWORKS, write_some_ablation

from parsec.cli import main
from parsec.report.tables.registry import table_writer


@pytest.fixture
def ablation(tmp_path):
    """Scores that rise with the index, fall with it, or fail once."""
    return write_some_ablation(tmp_path / "a.parquet")


@pytest.fixture
def rising(truth, tmp_path):
    """A table in which the accuracy of the first four architectures rises with the index."""
    frame = truth.copy()
    frame.loc[: NETWORKS - 1, "cifar10_test_200"] = [50.0, 60.0, 70.0, 80.0]
    frame.to_parquet(tmp_path / "rising.parquet", index=False)
    return tmp_path / "rising.parquet"


def test_spread_and_order_of_every_condition(rising, ablation, tmp_path):
    table_writer("naswot-ablation")([rising, ablation], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv").set_index("condition")
    assert rows.within.to_dict() == {"images": 1.0, "weights-identity": 0.0, "batch-32": 0.0}
    assert rows.between["images"] == pytest.approx(np.std([0, 10, 20, 30], ddof=1))
    assert rows.tau_between_repeats.to_list() == pytest.approx([1, 1, 1])
    assert rows.tau_with_accuracy.to_list() == pytest.approx([1, -1, 1])
    assert rows.networks.to_list() == [4, 4, 3]  # one failed once and is left out


def test_figure_starts_at_lowest_mean(rising, ablation, tmp_path):
    output = tmp_path / "f"
    assert main(["figure", "naswot-ablation", "--output", str(output), str(rising), str(ablation)]) == 0
    rows = pd.read_csv(output.with_suffix(".csv"))
    assert rows.groupby("condition")["mean"].min().to_dict() == dict.fromkeys(ABLATED, 0.0)
    images = rows[rows.condition == "images"]
    assert (images.high - images.low).to_list() == [2.0] * NETWORKS
    assert output.with_suffix(".png").stat().st_size
