"""Epochs that a start from scores saves: two made-up searches whose answers are known."""

import json

import numpy as np
import pandas as pd
import pytest
from synthetic import COST, fit_result

from parsec.errors import UserError
from parsec.report.tables.base import latex, markdown
from parsec.report.tables.nasbench201 import for_good, make_warm_start_table

RANKS = {"parsec": [None, 5000, 100, 900, 700, 600], "primed": [700, 1000, 3000, 150, 120, 100]}
EXPECTED = {"parsec": [80, 85, 88, 90, 91, 92], "primed": [90, 89, 90, 91, 92, 93]}


def run(method, seed=0):
    start = "scores" if method == "primed" else None
    named = {"stage": "search", "dataset": "cifar10", "method": method, "base": "parsec", "seed": seed, "start": start}
    return named | {"cost": COST, "rank_cifar10": 1, "test_cifar10": 94.0, "test_cifar100": 73.0, "test_in16": 46.0}


@pytest.fixture
def files(tmp_path):
    """The three inputs; ranks of 15,625, of which the top 1 % are 156, 5 % 781 and 20 % 3,125."""
    rows = [
        {
            **{key: run(method)[key] for key in ("stage", "dataset", "method", "seed")},
            **{"epoch": epoch, "rank_cifar10": rank, "expected_cifar10": EXPECTED[method][epoch]},
            **{"test_cifar10": None if rank is None else 95 - rank / 1000, "seconds": 2.0 * epoch},
        }
        for method, ranks in RANKS.items()
        for epoch, rank in enumerate(ranks)
    ]
    epochs = pd.DataFrame(rows).astype({"rank_cifar10": "Int64"})
    epochs.to_parquet(tmp_path / "lookup.parquet", index=False)
    truth = {"cifar10": 94.37, "cifar100": 73.51, "in16": 47.31}
    lookup = {"kind": "lookup", "schema": 1, "best": truth, "mean": truth, "runs": [run("parsec"), run("primed")]}
    (tmp_path / "lookup.json").write_text(json.dumps(lookup))
    fitted = fit_result(scored=40, kept=["a", "b"], cost=COST | {"device_seconds": 12.0})
    (tmp_path / "fit.json").write_text(json.dumps(fitted))
    return [tmp_path / name for name in ("lookup.json", "lookup.parquet", "fit.json")]


def test_for_good_is_first_lasting_epoch():
    for holds, place in (([1, 1], 0), ([1, 0, 1], 2), ([0, 1, 1], 1), ([1, 0], None)):
        assert for_good(np.array(holds, dtype=bool)) == place


def test_unreached_epochs_bound_the_saving(files):
    table, numbers, _ = make_warm_start_table(files)
    printed = {section.title: section.rows[0] for section in table.sections}
    assert printed["Mode within the top 1 %"] == ["0", "not reached", "3", "> 2"]
    assert printed["Mode within the top 5 %"] == ["0", "4", "3", "1"]
    assert printed["Mode within the top 20 %"] == ["0", "2", "0", "2"]
    assert printed["Mode as accurate as that of the scores' π"] == ["0", "4", "3", "1"]
    assert printed["Mean of a draw as accurate as from the scores' π"] == ["0", "3", "2", "1"]
    last = "Mean of a draw as accurate as at the end of the search from scores"
    assert printed[last] == ["0", "not reached", "5", "> 0"]
    assert numbers["scoring_seconds"].tolist() == [12.0] * 6
    assert numbers.set_index("quality").loc["Mode within the top 5 %", ["plain", "primed"]].tolist() == [4, 3]
    text = markdown(table)
    assert "the best 2 of 40 scored architectures. Scoring them took 12 s, as much as 6 epochs" in text
    assert "on average 90.00 %, from the uniform one 80.00 %; its mode is number 700" in text
    assert not set(latex(table)) & set("π−≤")


def test_unreached_warm_start_bounds_above(files):
    rows = pd.read_parquet(files[1])
    rows["method"] = rows["method"].replace({"parsec": "primed", "primed": "parsec"})
    rows.to_parquet(files[1], index=False)
    table = make_warm_start_table(files).table
    printed = {section.title: section.rows[0] for section in table.sections}
    assert printed["Mode within the top 1 %"] == ["0", "3", "not reached", "< −2"]


def test_wrong_inputs_are_refused(files, tmp_path):
    with pytest.raises(UserError, match="give the JSON and the Parquet"):
        make_warm_start_table(files[:2])
    with pytest.raises(UserError, match="not what `parsec fit-pi` writes"):
        make_warm_start_table([*files[:2], files[0]])
    document = json.loads(files[0].read_text())
    files[0].write_text(json.dumps(document | {"runs": [run("primed")]}))
    with pytest.raises(UserError, match="lacks the one from uniform"):
        make_warm_start_table(files)
    files[0].write_text(json.dumps(document | {"runs": [{"method": "parsec"}]}))
    with pytest.raises(UserError, match=r"runs\.0\.stage: Field required"):
        make_warm_start_table(files)
