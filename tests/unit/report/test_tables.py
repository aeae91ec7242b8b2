"""Result tables: numbers are the statistics of their inputs, published rows stand below a rule, text is escaped."""

import csv
import json
import statistics

import numpy as np
import pytest

from parsec.errors import UserError
from parsec.plugins import published_folder
from parsec.records.documents import read_results
from parsec.report.inputs import published_rows
from parsec.report.registry import table_writer
from parsec.report.tables.accuracy import our_rows, same_data
from parsec.report.tables.base import csv_text
from parsec.report.tables.latex import latex_text


def table(results, output, dataset="digits", compare_with=None):
    table_writer("accuracy", dataset=dataset, compare_with=compare_with)(results, output)
    with output.with_name(output.name + ".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, *(output.with_name(output.name + ending).read_text(encoding="utf-8") for ending in (".md", ".tex"))


def cells(markdown, start):
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def row_of(markdown, start):
    """The row that begins so, by heading."""
    return dict(zip(cells(markdown, "Architecture"), cells(markdown, start), strict=True))


def test_statistics_are_over_search_means(results, tmp_path):
    rows, markdown, _ = table(results, tmp_path / "t")
    errors = [3.0 + seed + run / 10 for seed in (0, 1) for run in range(3)]
    row = rows[0]
    assert float(row["top1_error_mean"]) == pytest.approx(statistics.fmean(errors))
    assert float(row["top1_error_std"]) == pytest.approx(statistics.stdev([3.1, 4.1]))
    half = 12.7062047 * statistics.stdev([3.1, 4.1]) / 2**0.5
    assert float(row["top1_error_high95"]) == pytest.approx(statistics.fmean(errors) + half)
    assert float(row["top1_error_std_of_trainings"]) == pytest.approx(statistics.stdev(errors))
    row = row_of(markdown, "PARSEC (search")
    assert (row["Test error (%)"], row["n"], row["Parameters (k)"]) == ("3.60 ± 0.71", "2 × 3", "30.0")
    # Of 360 test images a training gets 11 to 15 wrong.
    assert row["Wrong test images"] == f"{sum(round(3.6 * error) for error in errors)} of 2,160"
    assert "one wrong image is 0.28 %" in markdown


def test_published_genotype_summarised_over_trainings(study, tmp_path):
    rows, *_ = table(
        [study.retrain(3.0 + run, "published", run=run, method="DARTS_V2") for run in range(3)], tmp_path / "t"
    )
    assert float(rows[0]["top1_error_std"]) == pytest.approx(1.0)


def test_interval_covers_true_error(study, tmp_path):
    """Searches that vary as much as trainings: 4 × 4 trainings taken as independent would cover in 77 % of cases."""
    rng, covered = np.random.default_rng(0), 0
    results = [study.search(seed=seed) for seed in range(4)]
    results += [study.retrain(5.0, seed=seed, run=run) for seed in range(4) for run in range(4)]
    documents = read_results(results)
    for _ in range(300):
        searches = rng.normal(5.0, 0.1, 4)
        for result in documents:
            if result["kind"] == "retrain":
                result["test"]["top1_error"] = float(rng.normal(searches[result["seed"]], 0.1))
        (row,) = our_rows(documents, "digits")
        covered += row.top1.low <= 5.0 <= row.top1.high
    assert 0.92 <= covered / 300 <= 0.98


def test_published_genotypes_come_last(results, tmp_path):
    rows, markdown, _ = table(results, tmp_path / "t")
    assert [(row["origin"], row["method"]) for row in rows] == [
        ("search", "parsec"),
        ("finetune", "parsec"),
        ("published", "DARTS_V2"),
    ]
    row = row_of(markdown, "DARTS_V2")
    assert [row[key] for key in ("Test error (%)", "n", "Search cost (CPU-hours)")] == ["4.00", "1", "–"]


def test_genotype_file_is_not_published(results, study, tmp_path):
    own = study.retrain(4.0, "published", method="mine")
    own.write_text(json.dumps({**json.loads(own.read_text()), "genotype_source": {"sha256": "0" * 64, "origin": None}}))
    rows, *_ = table([*results, own], tmp_path / "t")
    search_methods = {row["method"]: row["search_method"] for row in rows if row["origin"] == "published"}
    assert search_methods == {"DARTS_V2": "published genotype", "mine": "genotype from a file"}


def test_cost_sums_all_stages(results, tmp_path):
    rows, markdown, _ = table(results, tmp_path / "t")
    assert [row["search_cost_cpu_hours"] for row in rows] == ["0.5", "0.75", ""]
    assert all(row["search_cost_gpu_days"] == "" for row in rows)
    assert row_of(markdown, "PARSEC (fine")["Search cost (CPU-hours)"] == "0.75"
    assert "GPU-days" not in markdown


def test_gpu_days_and_cpu_hours_separate(study, tmp_path):
    results = [
        study.search(seconds=3600.0),
        study.search("finetune", start="search", seconds=43_200.0, accelerator=True),
        study.retrain(3.0, "finetune"),
    ]
    rows, markdown, _ = table(results, tmp_path / "t")
    assert (rows[0]["search_cost_gpu_days"], rows[0]["search_cost_cpu_hours"]) == ("0.5", "1.0")
    row = row_of(markdown, "PARSEC (fine")
    assert (row["Search cost (GPU-days)"], row["Search cost (CPU-hours)"]) == ("0.5", "1")


def test_missing_parent_is_an_error(study, tmp_path):
    results = [study.search("finetune", start="search"), study.retrain(3.0, "finetune")]
    with pytest.raises(UserError, match=r"search with parsec, seed 0 is missing"):
        table_writer("accuracy", dataset="digits")(results, tmp_path / "t")


def test_a_training_given_twice_is_refused(study, tmp_path):
    results = [study.search(), study.retrain(3.0, run=0), study.retrain(4.0, run=1)]
    with pytest.raises(UserError, match="two results of one training on digits were given"):
        table([*results, results[1]], tmp_path / "t")


@pytest.mark.parametrize(
    ("dataset", "published", "same"),
    [
        ("cifar10", "CIFAR-10", True),
        ("cifar10", "CIFAR-100", False),
        ("imagenet", "ImageNet (ILSVRC 2012)", True),
        ("digits", "CIFAR-10", False),
    ],
)
def test_data_sets_are_known_by_name(dataset, published, same):
    assert same_data(dataset, set(), published) is same
    assert not same_data(dataset, {"digits stand in for it"}, published)


def test_parameters_are_averaged_over_genotypes(study, tmp_path):
    results = [study.search(seed=seed) for seed in (0, 1)]
    results += [study.retrain(3.0, seed=0, run=run, parameters=1_000_000) for run in range(3)]
    results += [study.retrain(3.0, seed=1, run=0, parameters=2_000_000)]
    rows, markdown, _ = table(results, tmp_path / "t")
    assert float(rows[0]["parameters"]) == 1_500_000
    row = row_of(markdown, "PARSEC")
    assert (row["n"], row["Parameters (M)"]) == ("3 + 1", "1.50")


def test_network_sizes_get_own_rows(study, tmp_path):
    results = [study.search(), study.retrain(3.0, run=0), study.retrain(2.0, run=1, channels=16)]
    rows, *_ = table(results, tmp_path / "t")
    assert [(row["channels"], row["top1_error_mean"]) for row in rows] == [("8", "3.0"), ("16", "2.0")]


def test_published_rows_start_with_parsec(results, tmp_path):
    rows, markdown, latex = table(results, tmp_path / "t", compare_with="cifar10")
    assert [row["section"] for row in rows] == ["ours"] * 3 + ["published"] * 39
    assert [row["architecture"].startswith("PARSEC") for row in rows[3:]] == [True, True] + [False] * 37
    assert (rows[3]["top1_error_mean"], rows[3]["parameters"]) == ("2.86", "3600000")
    lines = markdown.splitlines()
    rule = next(i for i, line in enumerate(lines) if "**Published, CIFAR-10**" in line)
    assert set(lines[rule].split("**")[2]) == set("| ")
    assert "DARTS_V2, retrained here" in lines[rule - 1]
    assert "PARSEC" in lines[rule + 1]
    ours, theirs = latex.split(r"\textit{Published, CIFAR-10}")
    assert ours.rpartition("\n")[0].endswith(r"\midrule")
    assert r"DARTS\_V2, retrained here" in ours
    assert r"2.86 $\pm$ 0.06" in theirs


def test_published_rows_are_optional(results, tmp_path):
    rows, markdown, _ = table(results, tmp_path / "t")
    assert {row["section"] for row in rows} == {"ours"}
    assert "Published" not in markdown


def test_imagenet_layout_has_extra_columns(study, tmp_path):
    sizes = {"dataset": "imagenet", "stem": "imagenet", "cells": 14, "channels": 48, "epochs": 250}
    results = [study.search("transfer", "imagenet", seed=s, seconds=86_400.0, accelerator=True) for s in (0, 1)]
    results += [study.retrain(26.0 + seed, "transfer", seed=seed, top5=8.0 + seed, **sizes) for seed in (0, 1)]
    rows, markdown, _ = table(results, tmp_path / "t", "imagenet", "imagenet")
    assert cells(markdown, "Architecture")[1:3] == ["Top-1 error (%)", "Top-5 error (%)"]
    headings = [
        "Top-1 error (%)",
        "Top-5 error (%)",
        "n",
        "Parameters (M)",
        "Multiply-adds (M)",
        "Search cost (GPU-days)",
    ]
    ours, theirs = (row_of(markdown, start) for start in ("PARSEC (transfer", "PARSEC †"))
    assert [ours[key] for key in headings] == ["26.50 ± 0.71", "8.50 ± 0.71", "2 × 1", "0.0300", "2.00", "1"]
    assert [theirs[key] for key in headings] == ["26.0", "8.4", "–", "5.6", "548", "1"]
    assert (rows[0]["top5_error_mean"], rows[1]["multiply_adds"]) == ("8.5", "548000000")
    assert "the scale is the same" in markdown


def by_class(*errors):
    classes = [
        {"class": name, "images": 180, "top1_error": error} for name, error in zip(("a", "=b"), errors, strict=True)
    ]
    return {"balanced_error": statistics.fmean(errors), "classes": classes}


def test_balanced_error_stands_where_it_differs(study, tmp_path):
    results = [study.search(seed=n) for n in (0, 1)]
    results += [study.retrain(3.0 + n, seed=n, tested=by_class(2.0, 8.0 + n)) for n in (0, 1)]
    rows, markdown, _ = table(results, tmp_path / "t")
    assert cells(markdown, "Architecture")[1:3] == ["Test error (%)", "Balanced error (%)"]
    assert cells(markdown, "PARSEC")[1:3] == ["3.50 ± 0.71", "5.25 ± 0.35"]
    assert float(rows[0]["balanced_error_mean"]) == pytest.approx(5.25)
    assert "Balanced error is the mean over classes" in markdown
    equal = [study.search(), study.retrain(5.0, run=0, tested=by_class(2.0, 8.0))]
    rows, markdown, _ = table(equal, tmp_path / "equal")
    assert rows[0]["balanced_error_mean"] == "5.0"
    assert "Balanced" not in markdown


def test_class_errors_have_own_csv(study, tmp_path):
    results = [study.search(), *(study.retrain(3.0, run=n, tested=by_class(2.0 + n, 8.0)) for n in (0, 1))]
    table(results, tmp_path / "t")
    rows = list(csv.DictReader((tmp_path / "t.classes.csv").open(encoding="utf-8", newline="")))
    assert [(row["class"], row["test_images"], row["trainings"]) for row in rows] == [
        ("a", "180", "2"),
        ("'=b", "180", "2"),
    ]
    assert [float(row["error_mean"]) for row in rows] == [2.5, 8.0]
    assert float(rows[0]["error_std"]) == pytest.approx(statistics.stdev([2.0, 3.0]))


def test_old_results_lack_class_errors(study, tmp_path):
    results = [study.search(), study.retrain(3.0, run=0), study.retrain(3.0, run=1, tested=by_class(2.0, 8.0))]
    rows, markdown, _ = table(results[:2], tmp_path / "old")
    assert rows[0]["balanced_error_mean"] == ""
    assert len((tmp_path / "old.classes.csv").read_text().splitlines()) == 1
    rows, markdown, _ = table(results, tmp_path / "mixed")
    assert rows[0]["balanced_error_mean"] == ""
    assert "Balanced" not in markdown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1.jpg", "'=1+1.jpg"),
        ("+x.jpg", "'+x.jpg"),
        ("-x.jpg", "'-x.jpg"),
        ("@x.jpg", "'@x.jpg"),
        ("'=x.jpg", "''=x.jpg"),
        ("\t=x.jpg", r"\t=x.jpg"),
        ("a\nb", r"a\nb"),
        ("a\udcffb", r"a\xffb"),
        ("a\\b", r"a\\b"),
        ("-1", "-1"),
        ("é ü/日 本.jpg", "é ü/日 本.jpg"),
    ],
)
def test_csv_names_are_escaped(text, shown):
    assert csv_text(text) == shown


def test_notes_state_scale_and_stand_in(study, tmp_path):
    sentence = "digits stand in for CIFAR-10"
    few = {"train_images": 500, "batch_size": 96}
    results = [study.search(), study.retrain(3.0, stand_in=sentence, settings=few)]
    _, markdown, latex = table(results, tmp_path / "t", compare_with="cifar10")
    for text in (markdown, latex.replace(r"$\times$", "×")):
        assert "5 cells × 8 channels, 3 epochs, 500 training images" in text
        assert "20 cells × 36 channels, 600 epochs" in text
        assert "do not compare" in text
        assert sentence in text
        assert "weights after the last epoch" in text
        assert "Synthetic CPU, 1 thread" in text


def test_limit_above_available_is_silent(study, tmp_path):
    settings, there = {"train_images": 99999, "batch_size": 96}, {"images_available": {"train": 1437}}
    all_used = study.retrain(3.0, settings=settings, images={"train": 1437}, **there)
    _, markdown, _ = table([study.search(), all_used], tmp_path / "t")
    assert "training images" not in markdown
    fewer = study.retrain(3.0, settings=settings, images={"train": 700}, **there)
    _, markdown, _ = table([study.search(), fewer], tmp_path / "u")
    assert "3 epochs, 700 training images" in markdown


def test_single_training_has_no_deviation(study, tmp_path):
    rows, markdown, _ = table([study.search(), study.retrain(3.0)], tmp_path / "t")
    assert (rows[0]["top1_error_std"], rows[0]["top1_error_low95"]) == ("", "")
    assert cells(markdown, "PARSEC")[1] == "3.00"


def test_nothing_retrained_is_an_error(study, tmp_path):
    with pytest.raises(UserError, match="no retraining"):
        table_writer("accuracy", dataset="digits")([study.search()], tmp_path / "t")
    assert not list(tmp_path.glob("t.*"))


def test_unknown_published_table_is_an_error(results, tmp_path):
    with pytest.raises(UserError, match="no protocol of the table 'svhn'"):
        table_writer("accuracy", dataset="digits", compare_with="svhn")(results, tmp_path / "t")


def test_latex_escapes_everything_special():
    assert latex_text("a_b & 5% #1 {x} ~^ \\ $") == (
        r"a\_b \& 5\% \#1 \{x\} \textasciitilde{}\textasciicircum{} \textbackslash{} \$"
    )
    assert latex_text("2.86 ± 0.06 × 3 † – π") == r"2.86 $\pm$ 0.06 $\times$ 3 $^\dagger$ -- $\pi$"


def test_latex_rows_match_header(results, tmp_path):
    *_, latex = table(results, tmp_path / "t", compare_with="cifar10")
    body = [
        line for line in latex.splitlines() if line.endswith(r"\\") and not line.startswith((r"\multi", r"\caption"))
    ]
    assert {line.replace(r"\&", "").count("&") for line in body} == {8}
    assert latex.isascii()


@pytest.mark.parametrize(("name", "low", "high"), [("cifar10", 2.0, 4.0), ("imagenet", 23.0, 31.0)])
def test_every_published_row_is_cited(name, low, high):
    rows = published_rows(name, published_folder())
    assert set(rows["certainty"]) == {"verbatim", "secondary"}
    assert rows["source"].str.contains("arXiv").all()
    assert rows["top1_error"].astype(float).between(low, high).all()


def test_damaged_result_names_its_file(results, tmp_path):
    results[0].write_text(json.dumps({"kind": "search"})[:-3], encoding="utf-8")
    with pytest.raises(UserError, match=r"result\.json") as error:
        table_writer("accuracy", dataset="digits")(results, tmp_path / "t")
    assert "\n" not in str(error.value)
