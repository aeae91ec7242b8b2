"""Searches on NAS-Bench-201: tables of accuracies and warm starts, and figures of six edges and one cell."""

import json

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.patches import Circle
from synthetic import COST, fit_result

from parsec.errors import UserError
from parsec.report.figures import style
from parsec.report.figures.cells import plot_cells
from parsec.report.figures.probabilities import plot_pi
from parsec.report.registry import figure_writer
from parsec.report.tables.latex import latex
from parsec.report.tables.markup import markdown
from parsec.report.tables.nasbench201 import for_good, make_found_table, make_warm_start_table
from parsec.space.nasbench201 import EDGES, OPERATIONS, architecture, architectures

FULL = architecture(["nor_conv_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3"])
SOME = architectures()[9]
NOTHING = architecture(["none"] * 6)


@pytest.mark.parametrize("name", ["entropy", "accuracy", "operations", "pi", "cells"])
def test_run_figures_come_with_numbers(name, study, tmp_path):
    run = study.nasbench201(SOME).parent
    given = study.write("genotype.json", SOME.as_dict()) if name == "cells" else run
    figure_writer(name)([given], tmp_path / "figure")
    # The picture shows something: some pixels are not white, and most are.
    pixels = image.imread(tmp_path / "figure.png")[..., :3]
    assert 0.01 < (pixels.min(axis=2) < 0.9).mean() < 0.5
    numbers = pd.read_csv(tmp_path / "figure.csv")
    assert len(numbers) == {"cells": 6, "pi": 7 * 30, "operations": 7 * 5}.get(name, 7)


def test_pi_has_panel_per_edge(study):
    figure, data = plot_pi([study.nasbench201(FULL).parent])
    assert len(data) == 7 * 30
    panels = [axes for axes in figure.axes if axes.images]
    headings = [axes.get_title(loc="left") for axes in panels]
    assert headings == [f"{source} → {node}" for source, node in EDGES]
    titles = [axes.get_title(loc="right").rsplit(" ", 1)[0] for axes in panels]
    assert titles == [style.primitive_label(operation) for operation in FULL.operations]


def test_shares_of_operations_sum_to_one(study):
    data = figure_writer("operations").__wrapped__([study.nasbench201(SOME, epochs=2).parent]).data
    assert set(data["primitive"]) == set(OPERATIONS)
    assert data[data["epoch"] == 2]["share"].sum() == pytest.approx(1.0)


def test_two_spaces_are_refused(study):
    runs = [study.nasbench201(SOME).parent, study.search(seed=1).parent]
    with pytest.raises(UserError, match="one search space"):
        figure_writer("operations").__wrapped__(runs)


@pytest.mark.parametrize("arch", [FULL, SOME, NOTHING, architecture(["nor_conv_3x3"] * 6)])
def test_cell_labels_do_not_overlap(arch, study):
    path = study.write("genotype.json", arch.as_dict())
    with matplotlib.rc_context(style.STYLE):
        figure, data = plot_cells([path])
        figure.draw_without_rendering()
        (axes,) = figure.axes
        texts = [text for text in axes.texts if text.get_gid() == "primitive"]
        drawn = [operation for operation in arch.operations if operation != "none"]
        assert sorted(text.get_text() for text in texts) == sorted(map(style.primitive_label, drawn))
        boxes = [text.get_bbox_patch().get_window_extent() for text in texts]
        nodes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, Circle)]
        assert not [1 for i, box in enumerate(boxes) for other in [*boxes[:i], *nodes] if box.overlaps(other)]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert data["operation"].tolist() == list(arch.operations)


def test_lines_of_operations_differ_without_colour():
    lines = {name: style.PRIMITIVES[name] for name in OPERATIONS}
    looks = {name: (str(line.dash), line.marker) for name, line in lines.items()}
    # The identity is drawn thicker; a zero is grey.
    del looks["skip_connect"], looks["none"]
    assert len(set(looks.values())) == len(looks)


def test_a_damaged_genotype_is_one_line(study):
    path = study.write("genotype.json", {**SOME.as_dict(), "cell": "|none~0|"})
    with pytest.raises(UserError, match=r"genotype\.json.*no architecture of nasbench201") as refused:
        plot_cells([path])
    assert "\n" not in str(refused.value)


PUBLISHED = """paper_version,search_space,method,sample_size_n,runs,search_time_s,dataset,split,metric,value,std,source
ICML2021,NAS-Bench-201,GDAS,,3,8640,CIFAR-10,test,accuracy_pct,93.51,0.13,a paper
ICML2021,NAS-Bench-201,GDAS,,3,8640,CIFAR-100,test,accuracy_pct,70.61,0.26,a paper
ICML2021,NAS-Bench-201,GDAS,,3,8640,ImageNet16-120,test,accuracy_pct,41.84,0.9,a paper
ICML2021,NAS-Bench-201,NASWOT,10,500,3.05,CIFAR-10,test,accuracy_pct,92.44,1.13,a paper
ICML2021,NAS-Bench-201,NASWOT,10,500,3.05,CIFAR-100,test,accuracy_pct,68.62,2.04,a paper
ICML2021,NAS-Bench-201,NASWOT,10,500,3.05,ImageNet16-120,test,accuracy_pct,41.31,4.11,a paper
ICML2021,NAS-Bench-201,GDAS,,3,8640,CIFAR-10,validation,accuracy_pct,90.0,0.21,a paper
arXiv-v1,NAS-Bench-201,GDAS,,3,8640,CIFAR-10,test,accuracy_pct,1.0,0.21,a paper
"""


def test_method_rows_precede_published(study, tmp_path):
    (tmp_path / "published.csv").write_text(PUBLISHED)
    table, numbers, _ = make_found_table(
        [study.lookup(), study.lookup(seeds=(0,), method="darts"), tmp_path / "published.csv"]
    )
    ours, bounds, published = table.sections
    assert ours.rows[0] == [
        "PARSEC",
        "2",
        "90.50 ± 0.71",
        "70.50 ± 0.71",
        "50.50 ± 0.71",
        "150",
        "–",
        "1.5",
        "cifar10",
        "",
    ]
    first_order = ["DARTS (1st order)", "1", "90.00", "70.00", "50.00", "100", "–", "1", "cifar10", ""]
    assert ours.rows[1] == first_order
    assert bounds.rows[0][1:3] == ["–", "94.37"]
    gdas = ["GDAS", "3", "93.51 ± 0.13", "70.61 ± 0.26", "41.84 ± 0.90", "–", "0.1", "–", "–", "[1]"]
    assert published.rows[0] == gdas
    assert numbers["method"].tolist()[:2] == ["parsec", "darts"]
    assert published.rows[1][0] == "NASWOT, N = 10"
    assert len(numbers) == 4
    assert numbers["cifar10_mean"].tolist() == [90.5, 90.0, 93.51, 92.44]
    assert "GDAS" in markdown(table)
    assert "GDAS" in latex(table)


def test_wrong_inputs_are_refused(study, tmp_path):
    path = study.lookup()
    other = study.write("result.json", {"kind": "search"})
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    for inputs, message in (
        ([], "needs what"),
        ([path, path], "one run twice"),
        ([other], "not what `parsec lookup` writes"),
        ([tmp_path / "none.json"], "cannot be read"),
        ([path, tmp_path / "wrong.csv"], "no published table of NASWOT"),
    ):
        with pytest.raises(UserError, match=message) as refused:
            make_found_table(inputs)
        assert "\n" not in str(refused.value)


def test_figure_has_panel_per_dataset(study):
    path = study.lookup().with_suffix(".parquet")
    figure, data = figure_writer("found").__wrapped__([path])
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10", "CIFAR-100", "ImageNet16-120"]
    assert len(data) == 2 * 6
    document = json.loads(path.with_suffix(".json").read_text())
    last = data[data["epoch"] == 5].set_index("seed")["test_in16"]
    assert last.to_dict() == {run["seed"]: run["test_in16"] for run in document["runs"]}
    with pytest.raises(UserError, match="not the Parquet file"):
        figure_writer("found").__wrapped__([path.with_suffix(".json")])


RANKS = {"parsec": [None, 5000, 100, 900, 700, 600], "primed": [700, 1000, 3000, 150, 120, 100]}
EXPECTED = {"parsec": [80, 85, 88, 90, 91, 92], "primed": [90, 89, 90, 91, 92, 93]}


def run(method, seed=0):
    start = "scores" if method == "primed" else None
    named = {"stage": "search", "dataset": "cifar10", "method": method, "base": "parsec", "seed": seed, "start": start}
    selected = {"architecture": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "forward_images": 1000}
    return (
        named
        | selected
        | {"cost": COST, "rank_cifar10": 1, "test_cifar10": 94.0, "test_cifar100": 73.0, "test_in16": 46.0}
    )


@pytest.fixture
def warm_start_files(tmp_path):
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


def test_unreached_epochs_bound_the_saving(warm_start_files):
    table, numbers, _ = make_warm_start_table(warm_start_files)
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


def test_unreached_warm_start_bounds_above(warm_start_files):
    rows = pd.read_parquet(warm_start_files[1])
    rows["method"] = rows["method"].replace({"parsec": "primed", "primed": "parsec"})
    rows.to_parquet(warm_start_files[1], index=False)
    table = make_warm_start_table(warm_start_files).table
    printed = {section.title: section.rows[0] for section in table.sections}
    assert printed["Mode within the top 1 %"] == ["0", "3", "not reached", "< −2"]


def test_wrong_warm_start_inputs_refused(warm_start_files, tmp_path):
    with pytest.raises(UserError, match="give the JSON and the Parquet"):
        make_warm_start_table(warm_start_files[:2])
    with pytest.raises(UserError, match="not what `parsec fit-pi` writes"):
        make_warm_start_table([*warm_start_files[:2], warm_start_files[0]])
    document = json.loads(warm_start_files[0].read_text())
    warm_start_files[0].write_text(json.dumps(document | {"runs": [run("primed")]}))
    with pytest.raises(UserError, match="lacks the one from uniform"):
        make_warm_start_table(warm_start_files)
    warm_start_files[0].write_text(json.dumps(document | {"runs": [{"method": "parsec"}]}))
    with pytest.raises(UserError, match=r"runs\.0\.stage: Field required"):
        make_warm_start_table(warm_start_files)
