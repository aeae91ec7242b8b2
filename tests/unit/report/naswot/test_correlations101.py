"""Rank correlation on NAS-Bench-101: with the accuracies of the given table, and with those of no other."""

import pytest

from parsec.errors import UserError
from parsec.records.parquet import SCORES_FILE
from parsec.report.tables.naswot import make_correlation101_table
from parsec.tabular.nasbench101 import read_search_columns


@pytest.fixture(scope="module")
def table(shared_data):
    return shared_data("nasbench101-subset.parquet")


@pytest.fixture
def scores(table, tmp_path):
    """Scores are validation accuracies turned round; one of the twenty failed."""
    reached = read_search_columns(table).validation

    def made(space="nasbench101", indices=range(20)):
        rows = [
            {"architecture": "", "index": i, "score": -reached[i % len(reached)], "status": "scored", "seconds": 1.0}
            for i in indices
        ]
        rows[3] |= {"score": None, "status": "failed", "reason": "singular"}
        score = {"kind": "relu_log_determinant", "mode": "train"}
        about = {"seed": 0, "provenance": {"settings": {"space": space, "dataset": "cifar10", "score": score}}}
        SCORES_FILE.write(tmp_path / "scores.parquet", rows, about)
        return tmp_path / "scores.parquet"

    return made


def test_scores_are_matched_by_index(table, scores):
    made, data, _ = make_correlation101_table([table, scores()])
    assert data.tau.item() == pytest.approx(-1)
    assert (data.n.item(), data.failed.item()) == (19, 1)
    assert data.architectures.item() == len(read_search_columns(table).validation)
    assert made.sections[1].rows[0][4] == "0.285"


@pytest.mark.parametrize(
    ("given", "words"),
    [({"space": "nasbench201"}, "give scores of nasbench101"), ({"indices": range(990, 999)}, "table")],
)
def test_other_scores_are_refused(table, scores, given, words):
    with pytest.raises(UserError, match=words):
        make_correlation101_table([table, scores(**given)])
    with pytest.raises(UserError, match="table first"):
        make_correlation101_table([table])
