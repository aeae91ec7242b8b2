"""The page of claims: every verdict follows from the numbers of a record, and what was not run is open."""

import json

import pandas as pd
import pytest

from parsec.errors import UserError
from parsec.records.claims.claim import read_claims
from parsec.records.claims.page import READERS, claims_page

WAITING = [{"what": "Fine-tuning of π on the 20-cell network", "command": "snakemake -n", "needs": "a GPU"}]


@pytest.fixture
def records(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "2026-run").mkdir()
    (tmp_path / "2026-run" / "settings.yaml").write_text("name: a small run\n")
    return tmp_path


@pytest.fixture
def write(records):
    def write(name, rows):
        path = records / "2026-run" / "tables" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame(rows).to_csv(path, index=False)

    return write


def row_of(records, text):
    """Cells of the first row of the claim that begins so."""
    lines = claims_page(records, WAITING).splitlines()
    return next([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith(f"| {text}"))


def test_every_reader_has_its_claim():
    names = [claim.claim for claim in read_claims()]
    assert len(set(names)) == len(names)
    assert READERS.keys() <= set(names)
    assert {claim.certainty for claim in read_claims()} == {"verbatim", "secondary", "ours"}


def test_without_a_record_a_claim_is_open_with_its_command(records):
    assert row_of(records, "π learnt on a small")[2:] == ["–", "`snakemake -n`", "a GPU", "not yet run"]
    assert row_of(records, "Kendall")[2:] == ["–", "–", "–", "not yet run"]


def compared(method, low, high, stage="search", outcome="top1_error"):
    ends = {"mean": (low + high) / 2, "low": low, "high": high, "n": 3}
    return {"stage": stage, "method": method, **{f"{outcome}_difference_{key}": end for key, end in ends.items()}}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.9, "holds"), (-0.9, -0.1, "does not hold"), (-0.2, 0.5, "not told apart")],
)
def test_a_difference_is_judged_by_its_interval(records, write, low, high, verdict):
    write("comparison", [compared("random", low, high), compared("direct", low, high, "finetune")])
    for text in ("What PARSEC finds", "π learnt on a small"):
        cells = row_of(records, text)
        assert (cells[4], cells[5]) == ("a small run", f"{verdict} at reduced scale")
        interval = f"{(low + high) / 2:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
        assert f"{interval} points, 3 pairs" in cells[2]


def test_of_accuracies_more_is_better(records, write):
    write("comparison", [compared("random", -0.9, -0.1, outcome="test_cifar10")])
    assert row_of(records, "What PARSEC finds")[5] == "holds at reduced scale"


def test_a_short_training_does_not_show_the_numbers_of_the_paper(records, write):
    ours = {"section": "ours", "origin": "search", "method": "parsec", "trainings": 2, "cells": 5, "channels": 8}
    errors = {"top1_error_mean": 35.3, "top1_error_std": 1.6, "top1_error_low95": 21.1}
    write("cifar10", [ours | errors | {"epochs": 6}])
    cells = row_of(records, "Test error on CIFAR-10 of the architecture found")
    assert cells[2:] == [
        "35.30 ± 1.60 %, n = 2",
        "[2026-run](2026-run)",
        "5 cells × 8 channels, 6 epochs",
        "not shown at reduced scale",
    ]
    write("cifar10", [ours | errors | {"epochs": 600, "top1_error_low95": 2.7}])
    assert row_of(records, "Test error on CIFAR-10 of the architecture found")[5] == "holds"
    write("cifar10", [ours | errors | {"epochs": 600}])
    assert row_of(records, "Test error on CIFAR-10 of the architecture found")[5] == "does not hold"


@pytest.mark.parametrize(("tau", "verdict"), [(0.60, "holds"), (0.50, "does not hold")])
def test_a_correlation_near_the_published_one(records, write, tau, verdict):
    named = {"score": "relu_log_determinant", "dataset": "cifar10", "trained_on": "half", "above": 15.0, "n": 900}
    write("naswot-correlation", [named | {"tau": tau, "low": tau - 0.01, "high": tau + 0.01}])
    assert row_of(records, "Kendall")[5] == verdict


@pytest.mark.parametrize(("mean", "verdict"), [(92.0, "holds"), (90.0, "does not hold")])
def test_a_search_by_score_within_the_published_deviation(records, write, mean, verdict):
    named = {"score": "relu_log_determinant", "method": "NASWOT", "reached_on": "cifar10", "split": "test", "n": 500}
    write("naswot-search", [named | {"candidates": 10.0, "mean": mean, "std": 1.0}])
    assert row_of(records, "Test accuracy of the best by score of N = 10 ")[5] == verdict


def test_assisted_evolution_is_judged_at_every_budget(records, write):
    def row(method, spent, mean):
        interval = {"low": mean - 0.1, "high": mean + 0.1, "mean": mean, "n": 500}
        return {"test_of": "cifar10", "searched_on": "cifar10", "method": method, "spent": spent} | interval

    plain = [row("evolution", 25, 93.0), row("evolution", 50, 94.0)]
    for means, verdict in (((93.5, 94.5), "holds"), ((93.5, 94.1), "not told apart"), ((93.1, 94.1), "does not hold")):
        helped = zip((25, 50), means, strict=True)
        write("naswot-evolution", [*plain, *(row("assisted_evolution", spent, mean) for spent, mean in helped)])
        assert row_of(records, "Evolution that begins")[5] == verdict


def test_a_claim_on_predictors_may_hold_in_part(records, write):
    claim = "scoring the whole space trains fewer than random search"
    rows = [{"problem": "a", "quality": quality, "claim": claim} for quality in ("top 1 %", "best")]
    for verdicts, expected in (
        (("holds", "holds"), "holds"),
        (("holds", "does not hold: not told apart"), "holds in part"),
        (("does not hold", "does not hold"), "does not hold"),
    ):
        write("predictor-claims", [row | {"verdict": v} for row, v in zip(rows, verdicts, strict=True)])
        assert row_of(records, "A predictor that scores")[5] == expected


def test_without_a_table_only_the_subsets_are_compared(records, write):
    claims = {
        "scoring the uniform subset uniform-9 trains fewer than random search": "holds",
        "the subset smart-9 trains fewer than uniform-9": "does not hold: the opposite does",
        "the subset prior-9 trains fewer than uniform-9": "holds",
    }
    named = {"problem": "darts", "quality": "top 1 %"}
    write("predictor-claims", [named | {"claim": claim, "verdict": verdict} for claim, verdict in claims.items()])
    cells = row_of(records, "A well chosen subset")
    assert "on darts 1 of 2" in cells[2]
    assert (cells[4], cells[5]) == ("DARTS space, a score in the place of accuracy", "holds in part")
    for text in ("A predictor that scores", "Scoring a uniform subset"):
        assert "darts" not in row_of(records, text)[2], "the whole space was not scored"


@pytest.mark.parametrize(("gpu", "verdict"), [(None, "holds at reduced scale"), ({"name": "Synthetic"}, "holds")])
def test_memory_is_read_off_the_benchmark(records, gpu, verdict):
    targets = [
        {"quantity": "ratio", "found": 0.9, "reached": True},
        {"quantity": "budget", "found": 1, "reached": True},
    ]
    document = {"contests": [{"targets": targets}], "provenance": {"machine": {"gpu": gpu}}}
    (records / "benchmarks" / "memory.json").write_text(json.dumps(document))
    cells = row_of(records, "A search needs no more memory")
    assert (cells[2], cells[5]) == ("at most 0.90 of the hungriest child trained alone", verdict)


def test_what_was_found_is_judged_against_the_mean_of_the_space(records, write):
    write(
        "comparison",
        [
            {"method": "parsec", "runs": 3, "skip_share": 0.1}
            | {f"test_cifar10_{key}": value for key, value in (("mean", 90), ("std", 1), ("low", 88), ("high", 92))}
        ],
    )
    (records / "2026-run" / "lookup").mkdir()
    (records / "2026-run" / "lookup" / "nasbench201.json").write_text(json.dumps({"mean": {"cifar10": 87.06}}))
    cells = row_of(records, "On NAS-Bench-201")
    assert cells[2] == "90.00 ± 1.00 % against 87.06 % of a random architecture; 10 % skip connections; n = 3"
    assert cells[5] == "holds at reduced scale"


def test_a_damaged_table_is_one_line(records, write):
    write("comparison", [])
    (records / "2026-run" / "tables" / "comparison.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"comparison.csv: not a table of numbers .* restore the record"):
        claims_page(records, WAITING)
