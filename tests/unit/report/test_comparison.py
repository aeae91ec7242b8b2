"""Methods beside each other: means, paired differences and costs are those of the runs."""

import pandas as pd
import pytest
from synthetic import COST, fit_result

from parsec.errors import UserError
from parsec.report.tables.comparison import make_comparison_table

ERRORS = {"parsec": [3.0, 4.0, 5.0], "darts": [4.0, 5.5, 6.0], "mean": [3.0, 4.5]}


@pytest.fixture
def inputs(study):
    runs = [(method, seed, error) for method, errors in ERRORS.items() for seed, error in enumerate(errors)]
    searches = [study.search(seed=seed, method=method, seconds=60.0) for method, seed, _ in runs]
    return searches + [study.retrain(error, seed=seed, method=method) for method, seed, error in runs]


def test_differences_are_paired_by_seed(inputs):
    table, data, _ = make_comparison_table(inputs)
    rows = data.set_index("method")
    assert rows.loc["darts", ["top1_error_mean", "runs"]].tolist() == pytest.approx([31 / 6, 3])
    assert rows.loc["darts", "top1_error_difference_mean"] == pytest.approx(3.5 / 3)
    assert rows.loc["darts", "top1_error_difference_n"] == 3
    assert rows.loc["darts", "top1_error_p_holm"] == pytest.approx(2 * rows.loc["darts", "top1_error_difference_p"])
    # A variant that ran with two of the seeds is compared on these two.
    assert rows.loc["mean", "top1_error_difference_n"] == 2
    assert rows.loc["mean", "top1_error_difference_mean"] == 0.25
    assert pd.isna(rows.loc["parsec", "top1_error_difference_mean"])
    assert rows.loc["parsec", ["seconds", "skip_share", "forward_images"]].tolist() == [60.0, 0.25, 20480]
    printed = table.sections[0].rows
    assert [row[0] for row in printed] == ["PARSEC", "DARTS (1st order)", "PARSEC, mean"]
    assert printed[1][3].startswith("+1.17 [")


def test_many_test_images_need_no_note(study):
    results = [study.search(), study.retrain(3.0, tested={"images": 10_000})]
    assert not any("one wrong image" in note for note in make_comparison_table(results).table.notes)
    few = make_comparison_table([results[0], study.retrain(3.0)])
    assert any("one wrong image is 0.28 %" in note for note in few.table.notes)


def test_differences_to_another_reference(inputs):
    table, data, _ = make_comparison_table(inputs, reference="darts")
    rows = data.set_index("method")
    assert rows.loc["parsec", "top1_error_difference_mean"] == pytest.approx(-3.5 / 3)
    assert pd.isna(rows.loc["darts", "top1_error_difference_mean"])
    assert table.sections[0].rows[0][0] == "DARTS (1st order)"


def test_note_describes_random_search(study, inputs):
    described = "architectures trained alone in the search network"
    assert not any(described in note for note in make_comparison_table(inputs).table.notes)
    inputs += [study.search(method="random"), study.retrain(3.0, method="random")]
    assert any(described in note for note in make_comparison_table(inputs).table.notes)


def test_costs_are_those_of_the_lineage(study):
    inputs = [
        *(study.search(seed=seed, seconds=60.0) for seed in (0, 1)),
        *(study.search("finetune", seed=seed, start="search", seconds=30.0) for seed in (0, 1)),
        *(study.retrain(3.0, "finetune", seed=seed) for seed in (0, 1)),
    ]
    inputs += [study.retrain(3.5 + seed, "search", seed=seed) for seed in (0, 1)]
    tuned, carried = make_comparison_table(inputs).data.to_dict("records")
    assert (tuned["stage"], tuned["seconds"], tuned["forward_images"]) == ("finetune", 90.0, 2 * 20480)
    # What is carried over as it is, is compared with what was tuned.
    assert (carried["stage"], carried["seconds"], carried["top1_error_difference_mean"]) == ("search", 60.0, 1.0)


def test_warm_start_cost_is_scoring(study):
    fit = fit_result(cost=COST | {"device_seconds": 40.0})
    inputs = [study.search(seconds=60.0, start="scores"), study.retrain(3.0)]
    with pytest.raises(UserError, match="result of scores with parsec, seed 0 is missing"):
        make_comparison_table(inputs)
    (row,) = make_comparison_table([*inputs, study.write("fit/seed0/fit.json", fit)]).data.to_dict("records")
    assert (row["seconds"], row["forward_images"]) == (100.0, 20980)


def test_accuracies_that_were_looked_up(study):
    paths = [study.lookup(), *(study.search(dataset="cifar10", seed=seed) for seed in (0, 1))]
    (row,) = make_comparison_table(paths).data.to_dict("records")
    assert (row["test_cifar10_mean"], row["test_in16_mean"]) == (90.5, 50.5)


def test_a_run_looked_up_twice_is_refused(study):
    lookup, searches = study.lookup(), [study.search(dataset="cifar10", seed=seed) for seed in (0, 1)]
    with pytest.raises(UserError, match="given one run twice"):
        make_comparison_table([lookup, lookup, *searches])


def test_nothing_that_tells_what_was_found(study):
    with pytest.raises(UserError, match="retrainings or a lookup"):
        make_comparison_table([study.search()])
