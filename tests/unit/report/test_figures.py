"""Figures: three formats and the numbers, the same bytes again, and odd runs drawn without a fault."""

import csv
import json
import shutil
import subprocess
import sys
import warnings

import matplotlib
import pytest
from naswot_files import figure_inputs

from parsec.errors import UserError
from parsec.plugins import published_folder
from parsec.report.figures.cost import log_axis, plot_cost
from parsec.report.figures.curves import grouped, uniform_entropy
from parsec.report.figures.probabilities import plot_pi
from parsec.report.figures.style import PRIMITIVES, STYLE
from parsec.report.inputs import read_runs
from parsec.report.registry import FIGURES, figure_writer, plot_runs
from parsec.space.darts import PRIMITIVES as NAMES
from parsec.space.published import DARTS_V2

FORMATS = ("svg", "pdf", "png", "csv")
MAGIC = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}


def numbers(output):
    with output.with_name(output.name + ".csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def content(output):
    return {kind: output.with_name(f"{output.name}.{kind}").read_bytes() for kind in FORMATS}


@pytest.fixture
def inputs(study, results, tmp_path):
    """Inputs of every figure, for one seed and one stage where a figure takes runs."""
    genotype = study.write("genotype.json", DARTS_V2.as_dict())
    run = results[0].parent
    return {
        "entropy": [run],
        "pi": [run],
        "accuracy": [run],
        "operations": [run],
        "cells": [genotype],
        "cost": [*results, published_folder() / "cifar10.csv"],
        "executor": [study.executor()],
        "depths": [study.depths()],
        "spending": [run],
        "found-spending": [study.lookup().with_suffix(".parquet")],
        "found": [study.lookup().with_suffix(".parquet")],
        "ranking": [study.ranking()],
        "ladder": [*study.budget(150_000), *study.budget(600_000)],
        **figure_inputs(tmp_path),
    }


ELSEWHERE = {"predictor", "proposal"}
"""Figures of studies that are tested beside the tables of the same study."""


@pytest.mark.parametrize("name", sorted(FIGURES.keys() - ELSEWHERE))
def test_figure_files_are_reproducible(name, inputs, tmp_path):
    figure_writer(name)(inputs[name], tmp_path / "once")
    figure_writer(name)(inputs[name], tmp_path / "again")
    first = content(tmp_path / "once")
    assert first == content(tmp_path / "again")
    assert all(first[kind].startswith(magic) for kind, magic in MAGIC.items())
    assert numbers(tmp_path / "once")


def test_entropy_shows_recorded_numbers(study, tmp_path):
    runs = [study.search(seed=seed, epochs=3).parent for seed in (1, 0)]
    runs.append(study.search("transfer", start="search", epochs=1).parent)
    figure_writer("entropy")(runs, tmp_path / "entropy")
    rows = numbers(tmp_path / "entropy")
    assert [(row["stage"], row["seed"]) for row in rows if row["epoch"] == "0"] == [
        ("search", "0"),
        ("search", "1"),
        ("transfer", "0"),
    ]
    assert (rows[0]["entropy"], rows[0]["ess_prior"]) == ("50.285", "")
    assert len(rows) == 4 + 4 + 2


@pytest.mark.parametrize("name", ["entropy", "accuracy", "operations", "pi"])
def test_single_epoch_can_be_drawn(name, study):
    figure, data = figure_writer(name).__wrapped__([study.search(epochs=1).parent])
    figure.draw_without_rendering()
    assert set(data["epoch"]) == {0, 1}


def test_metrics_are_read_exactly(study):
    folder = study.search(epochs=3).parent
    recorded = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    shown = figure_writer("accuracy").__wrapped__([folder]).data
    assert shown["mode_accuracy"].to_list() == [row["mode_accuracy"] for row in recorded if row["event"] == "epoch"]


def test_accuracy_is_drawn_in_percent(study):
    figure, data = figure_writer("accuracy").__wrapped__([study.search(epochs=3).parent])
    (axes,) = figure.axes
    assert "%" in axes.get_ylabel()
    assert axes.lines[0].get_ydata() == pytest.approx(100 * data["mode_accuracy"])


@pytest.mark.parametrize("name", ["entropy", "accuracy", "operations", "executor"])
def test_curves_stay_inside_panels(name, study):
    runs = [study.search(epochs=2).parent, study.search("finetune", start="search", epochs=3).parent]
    figure = figure_writer(name).__wrapped__([study.executor()] if name == "executor" else runs).figure
    for axes in figure.axes:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        shown = axes.dataLim
        assert left < shown.xmin <= shown.xmax < right
        assert low <= shown.ymin <= shown.ymax < high


def test_run_files_name_their_folder(study, tmp_path):
    folder = study.search(epochs=1).parent
    figure_writer("accuracy")([folder / "metrics.jsonl", folder / "result.json"], tmp_path / "files")
    figure_writer("accuracy")([folder], tmp_path / "folder")
    assert numbers(tmp_path / "files") == numbers(tmp_path / "folder")


def test_missing_folder_is_named_as_given(tmp_path):
    with pytest.raises(UserError, match=r"seed9/result\.json: cannot be read"):
        read_runs([tmp_path / "seed9"])


def test_one_search_in_two_folders_is_refused(study, tmp_path):
    run = study.search(epochs=1).parent
    shutil.copytree(run, tmp_path / "copy")
    with pytest.raises(UserError, match="two folders of one search were given"):
        read_runs([run, tmp_path / "copy"])


def test_spending_without_retraining_has_panel_per_method(study):
    """Accuracies with shared weights do not compare between methods, and the figure says so."""
    runs = [study.search(seed=s, method=m, epochs=3).parent for m in ("parsec", "darts", "mean") for s in (0, 1)]
    figure, data = figure_writer("spending").__wrapped__(runs)
    assert [axes.get_title() for axes in figure.axes] == ["PARSEC", "PARSEC, mean", "DARTS (1st order)"]
    assert "not comparable" in figure.get_suptitle()
    # Validation of the search's own weights: epochs of both seeds, the start included.
    assert len(data) == 6 * 4
    assert data["elapsed"].max() == 9.0
    mean = figure.axes[0].lines[-1]
    assert mean.get_xdata().tolist() == pytest.approx([1.024, 2.048, 3.072])


def test_spending_shows_errors_of_retrained_architectures(study):
    runs, cost = [], {"parsec": 100.0, "darts": 900.0}
    for method, seconds in cost.items():
        for seed in (0, 1, 2):
            runs.append(study.search(seed=seed, method=method, epochs=3, seconds=seconds).parent)
            runs.append(study.retrain(2.0 + seed**2, seed=seed, method=method).parent)
    figure, data = figure_writer("spending").__wrapped__(runs)
    (axes,) = figure.axes
    medians = [tuple(container[0].get_xydata()[0]) for container in axes.containers]
    assert medians == [(100.0, 3.0), (900.0, 3.0)]
    assert sorted(text.get_text() for text in axes.texts) == ["DARTS (1st order)", "PARSEC"]
    assert axes.get_xscale() == "log"
    ends = data.dropna(subset="test_error_digits")
    assert (len(ends), set(ends["epoch"])) == (6, {3})


@pytest.mark.parametrize("limits", [(37.0, 56.0), (0.0004, 3.0), (10.0, 4e5)])
def test_ticks_of_costs_are_not_rounded(limits):
    axes = matplotlib.figure.Figure().subplots()
    log_axis(axes, narrow=True)
    axes.set_xlim(limits)
    ticks, labels = axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()]
    assert [float(label) for label in labels] == pytest.approx(ticks, rel=1e-9)


def test_stages_are_compared_by_time_only(study):
    """An image through the large network of the fine-tuning costs more than one through that of the search."""
    runs = []
    for seed in (0, 1):
        for stage, epochs in (("search", 30), ("finetune", 3)):
            runs.append(study.search(seed=seed, stage=stage, epochs=epochs, seconds=10.0 * epochs).parent)
            runs.append(study.retrain(2.0 + seed, seed=seed, origin=stage).parent)
    figure, _ = figure_writer("spending").__wrapped__(runs)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Search cost: device time (s)"]


def test_operation_shares_sum_to_one(study, tmp_path):
    figure_writer("operations")([study.search(epochs=2).parent], tmp_path / "operations")
    rows = numbers(tmp_path / "operations")
    last = [float(row["share"]) for row in rows if (row["epoch"], row["cell"]) == ("2", "normal")]
    assert len(last) == len(NAMES)
    assert sum(last) == pytest.approx(1.0)


def test_methods_have_own_panels(study):
    """A collapse of one method must not vanish in a mean over all."""
    runs = []
    for seed, method in enumerate(["parsec", "darts", "gdas", "snas", "random"]):
        path = study.search(seed=seed, epochs=2)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"method": method, "seed": 0}), encoding="utf-8")
        runs.append(path.parent)
    figure = figure_writer("operations").__wrapped__(runs).figure
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["PARSEC", "DARTS (1st order)", "SNAS", "GDAS"] * 2
    note = figure.legends[0].get_title().get_text().replace("\n", " ")
    assert "Random search: no panel, because there is no π" in note


def test_edges_form_has_edge_panels(study):
    with matplotlib.rc_context(STYLE):
        figure, data = plot_pi([study.search(epochs=1, form="edges").parent])
        figure.draw_without_rendering()
        above, below = (figure.axes[place].get_tightbbox() for place in (13, 14))
    assert (sum(bool(axes.images) for axes in figure.axes), len(data)) == (28, 2 * 224)
    heading = next(text for text in figure.texts if text.get_text() == "Reduction cell").get_window_extent()
    assert above.y0 > heading.y1 > heading.y0 > below.y1


def test_pi_takes_one_run(study, tmp_path):
    runs = [study.search(seed=seed, epochs=1).parent for seed in (0, 1)]
    with pytest.raises(UserError, match="one run"):
        figure_writer("pi")(runs, tmp_path / "pi")


def test_cost_units_have_own_panels(results):
    figure = plot_cost([*results, published_folder() / "cifar10.csv"]).figure
    assert [axes.get_xlabel() for axes in figure.axes] == ["Search cost (CPU-hours)", "Search cost (GPU-days)"]
    assert [axes.get_title() for axes in figure.axes] == ["digits: this run", "CIFAR-10: published"]


def test_same_data_share_a_panel(study):
    results = [study.search(dataset="cifar10", accelerator=True), study.retrain(2.9, dataset="cifar10")]
    figure = plot_cost([*results, published_folder() / "cifar10.csv"]).figure
    assert [axes.get_title() for axes in figure.axes] == ["cifar10: this run and published"]


def test_stand_in_has_own_panel(study):
    search = study.search(dataset="imagenet", accelerator=True)
    result = study.retrain(30.0, dataset="imagenet", stem="imagenet", stand_in="digits written as images")
    figure = plot_cost([search, result, published_folder() / "imagenet.csv"]).figure
    assert len(figure.axes) == 2


def test_cost_figure_shows_cumulative_cost(results, tmp_path):
    figure_writer("cost")(results, tmp_path / "cost")
    rows = numbers(tmp_path / "cost")
    assert [(row["cost"], row["unit"]) for row in rows] == [("0.5", "CPU-hours"), ("0.75", "CPU-hours")]
    assert [float(row["error"]) for row in rows] == pytest.approx([3.6, 3.0])


def test_executor_shows_every_measured_row(study, tmp_path):
    path = study.executor()
    figure_writer("executor")([path], tmp_path / "executor")
    measured = json.loads(path.read_text(encoding="utf-8"))["rows"]
    shown = numbers(tmp_path / "executor")
    assert [int(row["peak_bytes"]) for row in shown] == [row["peak_bytes"] for row in measured]


@pytest.mark.parametrize("name", ["metrics.jsonl", "trajectory.parquet"])
def test_damaged_run_file_writes_nothing(name, study, tmp_path):
    folder = study.search(epochs=1).parent
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    figure = "pi" if name.endswith("parquet") else "entropy"
    with pytest.raises(UserError, match=name) as error:
        figure_writer(figure)([folder], tmp_path / "figure")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("figure.*"))


def test_lines_of_primitives_differ_without_colour():
    looks = {(str(PRIMITIVES[name].dash), PRIMITIVES[name].marker) for name in NAMES if name != "skip_connect"}
    assert len(looks) == len(NAMES) - 1


def test_reports_load_without_torch():
    modules = "parsec.report.figures, parsec.report.tables.accuracy, parsec.report.registry, parsec.report.checklist"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_batch_equals_single_figures(study, tmp_path):
    runs = [study.search(stage, seed=seed, epochs=2).parent for stage, seed in (("search", 0), ("transfer", 3))]
    for run in runs:
        study.write(run / "genotype.json", DARTS_V2.as_dict())
    plot_runs(runs, tmp_path / "figures")
    figure_writer("pi")([runs[1]], tmp_path / "alone")
    assert content(tmp_path / "figures" / "pi-transfer-parsec-seed3") == content(tmp_path / "alone")
    assert len(list((tmp_path / "figures").iterdir())) == 2 * len(FORMATS) * len(runs)


def test_run_without_trajectory_is_named(study, tmp_path):
    run = study.search().parent
    (run / "trajectory.parquet").unlink()
    with pytest.raises(UserError, match=str(run)):
        plot_runs([run], tmp_path)


def test_ladder_has_ends_of_every_budget(study, tmp_path):
    figure_writer("ladder")([*study.budget(150_000), *study.budget(600_000)], tmp_path / "ladder")
    rows = numbers(tmp_path / "ladder")
    assert [row["budget"] for row in rows] == ["0"] * 4 + ["1"] * 4
    taus = {(row["method"], row["seed"]): row["tau"] for row in rows}
    assert taus["parsec", "0"] == "0.3"
    assert taus["parsec", "1"] == "0.4"
    assert taus["random", "0"] == ""  # no shared weights
    assert all(float(row["skips"]) == pytest.approx(100 / 6) for row in rows)


def test_ladder_wants_both_documents_of_a_budget(study, tmp_path):
    lookup, _ = study.budget(150_000)
    with pytest.raises(UserError, match="give a run of every budget"):
        figure_writer("ladder")([lookup], tmp_path / "ladder")


@pytest.mark.parametrize("name", ["entropy", "accuracy", "operations", "spending"])
def test_many_methods_leave_the_panels_room(name, study, tmp_path):
    variants = [f"variant-{i}" for i in range(20)]
    runs = [study.search(seed=seed, method=m, epochs=2).parent for m in ("parsec", *variants) for seed in (0, 1)]
    with matplotlib.rc_context(STYLE):
        figure, data = figure_writer(name).__wrapped__(runs)
        figure.draw_without_rendering()
        panels = [axes.get_window_extent() for axes in figure.axes]
    assert min(panel.height for panel in panels) > 0.35 * figure.dpi
    assert figure.get_figheight() < 9.5
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(panel) for panel in panels)
    assert data["method"].nunique() == 21


def test_many_seeds_share_a_panel(study, tmp_path):
    runs = [study.search(seed=seed, epochs=2).parent for seed in range(60)]
    (group,) = grouped(read_runs(runs))
    assert group.title == "Proxy search, digits"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure_writer("entropy")(runs, tmp_path / "many")
    assert len({row["seed"] for row in numbers(tmp_path / "many")}) == 60


def test_uniform_entropy_is_that_of_the_start(study):
    runs = [study.search().parent, study.search("finetune", start="search").parent]
    runs.append(study.search("finetune", start="search", method="other").parent)
    rows = read_runs(runs)
    assert uniform_entropy(rows) == {"parsec": 50.285}
    # A variant that only continues takes the entropy of the method behind it.
    rows.loc[rows["method"] == "other", "base"] = "parsec"
    assert uniform_entropy(rows) == {"parsec": 50.285, "other": 50.285}


def test_entropy_without_samples_is_drawn(study, tmp_path):
    """DARTS and the random searches have no effective sample size."""
    run = study.search().parent
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = [{key: value for key, value in row.items() if not key.startswith(("ess", "samples"))} for row in rows]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    figure_writer("entropy")([run], tmp_path / "entropy")
    assert {(row["ess_prior"], row["samples"]) for row in numbers(tmp_path / "entropy")} == {("", "")}
