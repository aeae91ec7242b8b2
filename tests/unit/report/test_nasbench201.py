"""Figures of searches on NAS-Bench-201: six edges, five operations, one cell."""

import matplotlib
import pytest
from matplotlib.patches import Circle

from parsec.errors import UserError
from parsec.report.figures import style
from parsec.report.figures.cells import plot_cells
from parsec.report.figures.probabilities import plot_pi
from parsec.report.figures.registry import figure_writer
from parsec.space.nasbench201 import EDGES, OPERATIONS, architecture, architectures

FULL = architecture(["nor_conv_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3"])
SOME = architectures()[9]
NOTHING = architecture(["none"] * 6)


@pytest.mark.parametrize("name", ["entropy", "accuracy", "operations", "pi", "cells"])
def test_run_figures_come_with_numbers(name, study, tmp_path):
    run = study.nasbench201(SOME).parent
    given = study.write("genotype.json", SOME.as_dict()) if name == "cells" else run
    figure_writer(name)([given], tmp_path / "figure")
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert len((tmp_path / "figure.csv").read_text().splitlines()) > 6


def test_pi_has_panel_per_edge(study):
    figure, data = plot_pi([study.nasbench201(FULL).parent])
    assert len(data) == 7 * 30
    headings = [axes.texts[0].get_text() for axes in figure.axes]
    assert headings == [f"{source} → {node}" for source, node in EDGES]
    titles = [axes.get_title(loc="right").split("  ")[0] for axes in figure.axes]
    assert titles == [style.primitive_label(operation) for operation in FULL.operations]


def test_shares_of_operations_sum_to_one(study):
    data = figure_writer("operations").__wrapped__([study.nasbench201(SOME, epochs=2).parent]).data
    assert set(data["primitive"]) == set(OPERATIONS)
    assert data[data["epoch"] == 2]["share"].sum() == pytest.approx(1.0)


def test_two_spaces_are_refused(study):
    runs = [study.nasbench201(SOME).parent, study.search(seed=1).parent]
    with pytest.raises(UserError, match="one search space"):
        figure_writer("operations").__wrapped__(runs)


@pytest.mark.parametrize("found", [FULL, SOME, NOTHING, architecture(["nor_conv_3x3"] * 6)])
def test_cell_labels_do_not_overlap(found, study):
    path = study.write("genotype.json", found.as_dict())
    with matplotlib.rc_context(style.STYLE):
        figure, data = plot_cells([path])
        figure.draw_without_rendering()
        (axes,) = figure.axes
        texts = [text for text in axes.texts if text.get_gid() == "primitive"]
        drawn = [operation for operation in found.operations if operation != "none"]
        assert sorted(text.get_text() for text in texts) == sorted(map(style.primitive_label, drawn))
        boxes = [text.get_bbox_patch().get_window_extent() for text in texts]
        nodes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, Circle)]
        assert not [1 for i, box in enumerate(boxes) for other in [*boxes[:i], *nodes] if box.overlaps(other)]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert data["operation"].tolist() == list(found.operations)


def test_lines_of_operations_differ_without_colour():
    assert set(style.NASBENCH201) == set(OPERATIONS)
    looks = {name: (str(line.dash), line.marker) for name, line in style.NASBENCH201.items()}
    # The identity is drawn thicker; a zero is grey.
    del looks["skip_connect"], looks["none"]
    assert len(set(looks.values())) == len(looks)


def test_a_damaged_genotype_is_one_line(study):
    path = study.write("genotype.json", {**SOME.as_dict(), "cell": "|none~0|"})
    with pytest.raises(UserError, match=r"genotype\.json.*no architecture of nasbench201") as refused:
        plot_cells([path])
    assert "\n" not in str(refused.value)
