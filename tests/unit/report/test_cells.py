"""Drawn cells: every edge is labelled, and no label covers another one or a node."""

import json
import math
import random

import matplotlib
import pytest
from matplotlib.patches import Circle

from parsec.report.figures import cells, style
from parsec.report.figures.cells import route
from parsec.space.darts import NODES, PRIMITIVES, SLOTS, genotype
from parsec.space.edges import edge_space
from parsec.space.nasbench201 import EDGES, architectures
from parsec.space.published import DARTS_V1, DARTS_V2
from parsec.space.spaces import SPACES

DUPLICATE = genotype(
    [("sep_conv_3x3", i) for i in (1, 1, 0, 0, 0, 0, 0, 0)],
    [("dil_conv_5x5", i) for i in (0, 0, 2, 2, 3, 3, 4, 4)],
)


def drawn_at_random(seed):
    draw = random.Random(seed)
    return genotype(
        *([(draw.choice(PRIMITIVES), draw.randrange(n + 2)) for n in range(NODES) for _ in range(SLOTS)] for _ in "nr")
    )


GENOTYPES = {"DARTS_V1": DARTS_V1, "DARTS_V2": DARTS_V2, "duplicate inputs": DUPLICATE}
GENOTYPES |= {f"random {seed}": drawn_at_random(seed) for seed in range(5)}


@pytest.mark.parametrize("name", GENOTYPES)
def test_labels_are_complete_and_overlap_nothing(name, study):
    path = study.write("genotype.json", GENOTYPES[name].as_dict())
    with matplotlib.rc_context(style.STYLE):
        figure = cells.plot_cells([path]).figure
        figure.draw_without_rendering()
        for axes, cell in zip(figure.axes, GENOTYPES[name], strict=True):
            texts = [text for text in axes.texts if text.get_gid() == "primitive"]
            wanted = sorted(style.primitive_label(edge.primitive) for node in cell for edge in node)
            assert sorted(text.get_text() for text in texts) == wanted
            boxes = [text.get_bbox_patch().get_window_extent() for text in texts]
            nodes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, Circle)]
            assert len(nodes) == NODES + 2
            assert not [1 for i, box in enumerate(boxes) for other in [*boxes[:i], *nodes] if box.overlaps(other)]
            assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
            assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)


@pytest.mark.parametrize("name", GENOTYPES)
def test_arcs_are_edges_per_side(name):
    for cell in GENOTYPES[name]:
        arcs = route(cell)
        edges = [(edge.input, node + 2, edge.primitive) for node, slots in enumerate(cell) for edge in slots]
        assert sorted((arc.source, arc.target, arc.primitive) for arc in arcs) == sorted(edges)
        assert {(arc.target, arc.side) for arc in arcs} == {(n + 2, side) for n in range(NODES) for side in (-1, 1)}


def test_arcs_have_fewest_crossings():
    chain = genotype(
        [("skip_connect", i) for i in (0, 1, 1, 2, 2, 3, 3, 4)],
        [("skip_connect", 0)] * (NODES * SLOTS),
    )
    for cell in chain:
        arcs = [(arc.side, arc.source, arc.target) for arc in route(cell)]
        assert not [1 for s, a, b in arcs for t, c, d in arcs if s == t and a < c < b < d]


def test_arrowheads_of_benchmark_cells_end_apart():
    """Edges of NAS-Bench-201 that arrive at one side of a node."""
    ends = [arc.control()[-1] for arc in cells.edge_arcs([(*edge, "skip_connect") for edge in EDGES])]
    assert len(ends) == 6
    assert min(math.dist(a, b) for i, a in enumerate(ends) for b in ends[:i]) > 0.05


def test_cells_of_other_spaces_are_drawn(tmp_path, monkeypatch):
    space = edge_space("toy", [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)], ["skip", "conv_3x3", "max"])
    monkeypatch.setitem(SPACES._added, "toy", space)
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(space.decode([0, 1, 2, 1, 0], "separate").as_dict()))
    figure, numbers = cells.plot_cells([path])
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.texts if text.get_gid() == "primitive"]
    assert sorted(names) == ["conv 3×3", "conv 3×3", "max", "skip", "skip"]
    assert [text.get_text() for text in axes.texts if text.get_gid() != "primitive"] == ["in", "1", "2", "out"]
    assert numbers["operation"].tolist() == ["skip", "conv_3x3", "max", "conv_3x3", "skip"]
    assert len({line.colour for line in style.primitive_lines(space.primitives).values()}) == 3


def test_title_names_the_search(study):
    run = study.nasbench201(architectures()[-1]).parent
    study.write(run / "genotype.json", architectures()[-1].as_dict())
    figure = cells.plot_cells([run / "genotype.json"]).figure
    title = figure.texts[0].get_text().replace("\n", " ")
    assert "PARSEC, proxy search on cifar10, seed 0. Entropy of π: 10.0 nats." in title
