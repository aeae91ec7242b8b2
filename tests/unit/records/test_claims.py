"""The page of claims: every verdict follows from the numbers of a record, and what was not run is open."""

import json

import numpy as np
import pandas as pd
import pytest
from synthetic import PROVENANCE

from parsec.errors import UserError
from parsec.records.archive import READERS, claims_page
from parsec.records.documents import RESULTS_FILE
from parsec.records.evidence import read_claims, reproduced
from parsec.stats import summarise

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


def test_every_reader_has_a_claim():
    names = [claim.claim for claim in read_claims()]
    assert len(set(names)) == len(names)
    assert READERS.keys() <= set(names)
    assert {claim.certainty for claim in read_claims()} == {"verbatim", "secondary", "ours"}


def test_claim_without_record_is_pending(records):
    assert row_of(records, "π learnt on a small")[2:] == ["–", "`snakemake -n`", "a GPU", "not yet run"]
    assert row_of(records, "Kendall")[2:] == ["–", "–", "–", "not yet run"]


def compared(method, low, high, stage="search", outcome="top1_error"):
    ends = {"mean": (low + high) / 2, "low": low, "high": high, "n": 3}
    return {"stage": stage, "method": method, **{f"{outcome}_difference_{key}": end for key, end in ends.items()}}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.9, "holds"), (-0.9, -0.1, "does not hold"), (-0.2, 0.5, "no significant difference")],
)
def test_interval_decides_a_difference(records, write, low, high, verdict):
    write("comparison", [compared("random", low, high), compared("direct", low, high, "finetune")])
    for text in ("What PARSEC finds", "π learnt on a small"):
        cells = row_of(records, text)
        assert (cells[4], cells[5]) == ("a small run", f"{verdict} at reduced scale")
        interval = f"{(low + high) / 2:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
        assert f"{interval} points, 3 pairs" in cells[2]


def test_higher_accuracy_is_better(records, write):
    write("comparison", [compared("random", -0.9, -0.1, outcome="test_cifar10")])
    assert row_of(records, "What PARSEC finds")[5] == "holds at reduced scale"


OURS = {"section": "ours", "origin": "search", "method": "parsec", "cells": 20, "channels": 36, "epochs": 600}
"""A row of the table of CIFAR-10; the published error is 2.86 %, the margin 0.1 points."""


def errors(*values, trainings=None):
    n, mean, std, low, high = summarise(values)
    ends = {"top1_error_low95": low, "top1_error_high95": high}
    return {"searches": n, "trainings": trainings or n, "top1_error_mean": mean, "top1_error_std": std, **ends}


def test_short_training_shows_no_published_error(records, write):
    write("cifar10", [OURS | {"cells": 5, "channels": 8, "epochs": 6} | errors(34.2, 36.4)])
    cells = row_of(records, "Test error on CIFAR-10 of the architecture found")
    assert cells[2:] == [
        "35.30 ± 1.56 % [21.32, 49.28], n = 2 searches, 2 trainings",
        "[2026-run](2026-run)",
        "5 cells × 8 channels, 6 epochs",
        "not shown at reduced scale",
    ]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((2.85, 2.87, 2.86), "holds"),
        ((2.5, 2.51, 2.52), "holds"),
        ((2.91, 2.92, 2.93), "holds"),
        ((3.1, 3.15, 3.2), "does not hold"),
        ((3.1, 3.2, 3.3), "close, but differs significantly"),
        ((4.0, 6.0), "no significant difference"),
        ((3.2, 3.9), "no significant difference"),
        ((2.86,), "one run, no interval"),
    ],
)
def test_worse_end_reproduces_published_error(records, write, values, verdict):
    write("cifar10", [OURS | errors(*values)])
    assert row_of(records, "Test error on CIFAR-10 of the architecture found")[5] == verdict


def test_trainings_do_not_shorten_the_interval(records, write):
    """An older record: interval and deviation over all trainings, and the deviation of the search means beside them."""
    old = errors(*(2.6, 2.61) * 8, *(3.1, 3.11) * 8) | {"searches": 2, "top1_error_std_of_search_means": 0.3535}
    write("cifar10", [OURS | old])
    cells = row_of(records, "Test error on CIFAR-10 of the architecture found")
    assert cells[2] == "2.85 ± 0.35 % [−0.32, 6.03], n = 2 searches, 32 trainings"
    assert cells[5] == "no significant difference"


@pytest.mark.parametrize("better", [-1, 0, 1])
@pytest.mark.parametrize("count", [2, 4, 10])
def test_false_holds_at_the_margin(better, count):
    rng, held = np.random.default_rng(count), 0
    for _ in range(4000):
        # On the bad side of the value by exactly the margin.
        *_, low, high = summarise(rng.normal(5.0 + (-better or 1) * 0.1, 0.1, count).tolist())
        held += reproduced(low, high, 5.0, 0.1, better) == "holds"
    assert held / 4000 <= 0.033  # 2.5 % and three standard errors


def test_rule_finds_true_and_false_claims():
    rng = np.random.default_rng(0)
    verdicts = {
        shift: [
            reproduced(*summarise(rng.normal(5.0 + shift, 0.05, 10).tolist())[-2:], 5.0, 0.1, -1) for _ in range(500)
        ]
        for shift in (0.0, 0.3)
    }
    assert verdicts[0.0].count("holds") > 475
    assert verdicts[0.3].count("does not hold") > 475


@pytest.mark.parametrize(
    ("tau", "verdict"),
    [(0.60, "holds"), (0.50, "does not hold"), (0.62, "close, but differs significantly")],
)
def test_correlation_near_the_published(records, write, tau, verdict):
    named = {"score": "relu_log_determinant", "dataset": "cifar10", "trained_on": "half", "above": 15.0, "n": 900}
    ends = {"tau": tau, "low": tau - 0.01, "high": tau + 0.01}
    write("naswot-correlation", [named | ends | {"accuracy": "CIFAR-10 test"}])
    cells = row_of(records, "Kendall's τ of the score")
    assert cells[5] == verdict
    assert "900 architectures; CIFAR-10 test accuracy, scored on images of cifar10" in cells[2]


def test_correlation_prefers_the_papers_protocol(records, write):
    common = {"score": "relu_log_determinant", "trained_on": "all", "above": 0.0, "n": 900}
    rows = [
        common | {"dataset": dataset, "accuracy": f"CIFAR-100 {split}", "tau": tau, "low": tau, "high": tau}
        for dataset, split, tau in (
            ("cifar10", "test", 0.1),
            ("cifar10", "validation", 0.2),
            ("cifar100", "test", 0.3),
            ("cifar100", "validation", 0.61),
        )
    ]
    for count, tau in ((4, "0.610"), (3, "0.300"), (2, "0.200"), (1, "0.100")):
        write("naswot-correlation", rows[:count])
        assert row_of(records, "Kendall's τ on NAS-Bench-201, CIFAR-100")[2].startswith(tau)
    assert row_of(records, "Kendall's τ on NAS-Bench-201, ImageNet16")[5] == "not yet run"


def test_subset_of_nasbench101_is_named(records, write):
    row = {"score": "relu_log_determinant", "dataset": "cifar10", "tau": 0.28, "low": 0.2, "high": 0.36, "n": 250}
    for cells, suffix in ((292, " at reduced scale"), (423_624, "")):
        write("naswot-correlation-nasbench101", [row | {"architectures": cells}])
        assert row_of(records, "Kendall's τ on NAS-Bench-101")[5] == f"no significant difference{suffix}"


def searches(mean, n=500, std=1.0, draws=None, error=None):
    half = 1.965 * std / n**0.5 if error is None else error
    named = {"score": "relu_log_determinant", "method": "NASWOT", "reached_on": "cifar10", "split": "test", "n": n}
    statistics = {"candidates": 10.0, "mean": mean, "std": std, "low": mean - half, "high": mean + half}
    return named | statistics | ({} if draws is None else {"draws": draws})


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (92.44, "holds"),
        (92.25, "close, but differs significantly"),
        (92.9, "does not hold"),
        (90.0, "does not hold"),
    ],
)
def test_standard_error_decides_score_search(records, write, mean, verdict):
    write("naswot-search", [searches(mean)])
    assert row_of(records, "Test accuracy of the best by score of N = 10 ")[5] == f"{verdict}, on one weight draw"


def test_weight_draws_widen_the_interval(records, write):
    write("naswot-search", [searches(92.25, draws=4, error=0.5)])
    cells = row_of(records, "Test accuracy of the best by score of N = 10 ")
    assert cells[5] == "no significant difference"
    assert "500 repeats on 4 weight draws; ours − published: −0.19 [−0.6" in cells[2]


def test_assisted_evolution_at_every_budget(records, write):
    def row(method, spent, mean):
        interval = {"low": mean - 0.1, "high": mean + 0.1, "mean": mean, "n": 500}
        return {"test_of": "cifar10", "searched_on": "cifar10", "method": method, "spent": spent} | interval

    plain = [row("evolution", 25, 93.0), row("evolution", 50, 94.0)]
    for means, verdict in (
        ((93.5, 94.5), "holds"),
        ((93.5, 94.1), "holds in part"),
        ((93.1, 94.1), "no significant difference"),
        ((92.5, 94.1), "does not hold"),
    ):
        helped = zip((25, 50), means, strict=True)
        write("naswot-evolution", [*plain, *(row("assisted_evolution", spent, mean) for spent, mean in helped)])
        assert row_of(records, "Evolution that begins")[5] == f"{verdict}, on one weight draw"


def test_predictor_claim_holds_in_part(records, write):
    claim = "scoring the whole space trains fewer than random search"
    rows = [{"problem": "a", "data": "x", "quality": quality, "claim": claim} for quality in ("top 1 %", "best")]
    for verdicts, expected in (
        (("holds", "holds"), "holds"),
        (("holds", "no significant difference"), "holds in part"),
        (("holds", "does not hold: not told apart"), "holds in part"),  # the words of older records
        (("does not hold: not told apart", "no significant difference"), "no significant difference"),
        (("does not hold: the opposite does", "no significant difference"), "does not hold"),
    ):
        write("predictor-claims", [row | {"verdict": v} for row, v in zip(rows, verdicts, strict=True)])
        assert row_of(records, "A predictor that scores")[5] == expected


def test_data_sets_of_one_problem_all_count(records, write):
    claim = "scoring the whole space trains fewer than random search"
    row = {"problem": "nasbench201", "quality": "best", "claim": claim}
    verdicts = {"cifar10": "holds", "cifar100": "does not hold: the opposite does"}
    # The two differences of one claim are one verdict.
    rows = [
        row | {"data": data, "verdict": verdict, "difference": difference}
        for data, verdict in verdicts.items()
        for difference in ("random − all", "all − uniform-9")
    ]
    write("predictor-claims", rows)
    cells = row_of(records, "A predictor that scores")
    assert "on nasbench201 1 of 2" in cells[2]
    assert cells[5] == "holds in part"


def test_only_subsets_compared_on_darts(records, write):
    claims = {
        "scoring the uniform subset uniform-9 trains fewer than random search": "holds",
        "the subset smart-9 trains fewer than uniform-9": "does not hold: the opposite does",
        "the subset prior-9 trains fewer than uniform-9": "holds",
    }
    named = {"problem": "darts", "data": "digits", "quality": "top 1 %"}
    write("predictor-claims", [named | {"claim": claim, "verdict": verdict} for claim, verdict in claims.items()])
    cells = row_of(records, "A well chosen subset")
    assert "on darts 1 of 2" in cells[2]
    assert (cells[4], cells[5]) == ("DARTS space, a score instead of accuracy", "holds in part")
    for text in ("A predictor that scores", "Scoring a uniform subset"):
        assert "darts" not in row_of(records, text)[2], "the whole space was not scored"


@pytest.mark.parametrize(("gpu", "suffix"), [(None, " at reduced scale"), ({"name": "Synthetic"}, "")])
def test_memory_verdict_per_executor(records, gpu, suffix):
    common = {"contender": "one", "target": 1.05, "reached": True}
    targets = [common | {"quantity": "ratio", "found": 0.9}, common | {"quantity": "budget", "found": 1.0}]
    made = PROVENANCE | {"machine": PROVENANCE["machine"] | {"gpu": gpu}}
    document = {"kind": "bench", "comparisons": [{"targets": targets}], "provenance": made}
    path = records / "benchmarks" / "memory.json"
    path.write_text(json.dumps(document))
    one = "executor `sequential`: at most 0.90 of the most memory-hungry child's own training"
    cells = row_of(records, "A search needs no more memory")
    assert (cells[2], cells[5]) == (one, f"holds with executor `sequential`{suffix}"), (
        "a record from before auto was measured"
    )
    for ratio, verdict in ((10.6, "does not hold"), (0.9, "holds")):
        document["comparisons"][0]["rows"] = [{"contender": "auto (stacked, S = 16), K = 16", "ratio": ratio}]
        path.write_text(json.dumps(document))
        cells = row_of(records, "A search needs no more memory")
        assert cells[2] == f"{one}; executor `auto`: at most {ratio:.2f} (auto (stacked, S = 16), K = 16)"
        assert cells[5] == f"holds with executor `sequential`, {verdict} with `auto`{suffix}"


def collapsed(method, stage="search"):
    ends = {f"test_cifar10_{key}": value for key, value in (("mean", 90), ("std", 1), ("low", 88), ("high", 92))}
    return {"method": method, "stage": stage, "runs": 3, "skip_share": 0.1} | ends


def test_collapse_compares_with_space_mean(records, write):
    write("comparison", [collapsed("parsec", "transfer"), collapsed("parsec")])
    mean = {"cifar10": 87.06, "cifar100": 61.0, "in16": 33.0}
    lookup = {"kind": "lookup", "schema": 1, "best": mean, "mean": mean, "runs": []}
    (records / "2026-run" / RESULTS_FILE).write_text(json.dumps(lookup) + "\n")
    cells = row_of(records, "On NAS-Bench-201")
    ours = "PARSEC: 90.00 ± 1.00 % [88.00, 92.00], 10 % skip connections"
    assert cells[2] == f"{ours}, n = 3 searches; a random architecture: 87.06 %"
    assert cells[5] == "holds at reduced scale"
    # A run of a variant only.
    write("comparison", [collapsed("rank-first")])
    assert row_of(records, "On NAS-Bench-201")[5] == "holds with `rank-first` at reduced scale"


def test_damaged_table_is_one_line(records, write):
    write("comparison", [])
    (records / "2026-run" / "tables" / "comparison.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"comparison.csv: not a table of numbers .* restore the record"):
        claims_page(records, WAITING)
