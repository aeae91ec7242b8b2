"""How shared weights rank architectures: τ with the truth, wherever it is known, and a warning without any."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from parsec.errors import UserError
from parsec.report.ranking import ranking
from parsec.report.tables.comparison import make_comparison_table
from parsec.report.tables.ranking import make_ranking_table
from parsec.space.nasbench201 import architectures
from parsec.tabular.nasbench201 import read_report_columns

SAMPLE = [architectures()[index] for index in range(0, 15000, 1500)]


def sampled(moment, losses, accuracies=0.0):
    return pd.DataFrame({
        "moment": moment, "forward_images": 1000 if moment == "warmup" else 3000,
        "architecture": [json.dumps(each.as_dict(), sort_keys=True) for each in SAMPLE],
        "loss": losses, "accuracy": accuracies, "parameters": range(10), "weightless": [5] * 5 + [2] * 5,
    })  # fmt: skip


@pytest.fixture
def searched(study):
    """A function method, seed, tables → folder of a search with this ranking."""

    def write(method, seed, *tables):
        folder = study.search(dataset="cifar10", method=method, seed=seed).parent
        pd.concat(tables).to_parquet(folder / "ranking.parquet", index=False)
        return folder

    return write


def test_truth_is_looked_up(searched, benchmark, tmp_path, caplog):
    true = read_report_columns(benchmark).test["cifar10"][range(0, 15000, 1500)]
    runs = [
        searched("parsec", 0, sampled("warmup", true), sampled("end", -true)),
        searched("darts", 0, sampled("end", true)),
    ]
    with caplog.at_level(logging.WARNING):
        ranking(runs, benchmark, tmp_path / "ranking.json")
    rows = {(row["method"], row["moment"]): row for row in json.loads((tmp_path / "ranking.json").read_text())["rows"]}
    taus = {key: row["truth"] for key, row in rows.items()}
    expected = {("parsec", "warmup"): -1.0, ("parsec", "end"): 1.0, ("darts", "end"): -1.0}
    assert taus == pytest.approx(expected)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("DARTS (1st order): shared weights do not rank architectures (τ -1.00, n = 1)")


def test_trainings_alone_are_the_truth(searched, tmp_path):
    alone = [searched("alone", seed, sampled("alone", np.nan, np.arange(10) / 10)) for seed in (0, 1)]
    run = searched("parsec", 0, sampled("end", [*range(9, 1, -1), 0, 1]))
    ranking([*alone, run], None, tmp_path / "ranking.json")
    document = json.loads((tmp_path / "ranking.json").read_text())
    (row,) = document["rows"]
    assert row["truth"] == pytest.approx(43 / 45)
    assert row["architectures"] == 10
    assert document["truth"] == "validation accuracy of each trained alone"
    with pytest.raises(UserError, match="nothing knows the truth: give --benchmark"):
        ranking([run], None, tmp_path / "none.json")


def test_missing_ranking_is_named(study, benchmark, tmp_path):
    folder = study.search(dataset="cifar10").parent
    with pytest.raises(UserError, match=r"ranking\.parquet: not the ranking of a search; run the search again"):
        ranking([folder], benchmark, tmp_path / "ranking.json")


def test_record_without_ranking_is_one_line(study):
    record = study.folder / "results.jsonl"
    record.write_bytes(study.search().read_bytes() + b"\n")
    with pytest.raises(UserError, match="needs what `parsec ranking` wrote"):
        make_ranking_table([record])


def test_tables_show_means_over_searches(searched, study, benchmark, tmp_path):
    true = read_report_columns(benchmark).test["cifar10"][range(0, 15000, 1500)]
    runs = [searched("parsec", seed, sampled("end", sign * true)) for seed, sign in ((0, -1), (1, 1), (2, -1))]
    ranking(runs, benchmark, tmp_path / "ranking.json")
    table = make_ranking_table([tmp_path / "ranking.json"]).table
    assert table.rows[0][:5] == ["PARSEC", "search", "3", "3.00", "0.33 ± 1.15"]
    assert table.notes[-1].endswith(": PARSEC.")
    compared = make_comparison_table(
        [study.lookup(), *(run / "result.json" for run in runs), tmp_path / "ranking.json"]
    )
    assert compared.data["tau"].tolist() == [0.0]  # of seeds 0 and 1, which were looked up
