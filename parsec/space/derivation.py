"""The architecture that a relaxed method derives from the probabilities of all primitives on all edges."""

from collections.abc import Sequence

from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, SLOTS, edge_index
from parsec.space.genotype import Edge, Genotype, Node
from parsec.space.nasbench201 import OPERATIONS, Architecture

Probabilities = Sequence[Sequence[float]]
"""One row an edge in the order of the form `edges`, one column a primitive."""


def _strongest(row: Sequence[float]) -> tuple[float, str]:
    """Probability and name of the best primitive that is not `none`; the first one of equals."""
    named = [(p, name) for p, name in zip(row, CANDIDATES, strict=True) if name != "none"]
    return max(named, key=lambda pair: pair[0])


def _node(rows: Probabilities) -> Node:
    """The two strongest edges of a node, the stronger first; of equals the one with the lower input."""
    best = [_strongest(row) for row in rows]
    chosen = sorted(range(len(best)), key=lambda source: -best[source][0])[:SLOTS]
    return tuple(Edge(best[source][1], source) for source in chosen)


def derive_darts(probabilities: Probabilities) -> Genotype:
    """Two edges a node, by the probability of their best primitive other than `none` (DARTS, section 2.4).

    That probability is the one beside `none`, as in the code of the authors.
    """
    cells = [probabilities[EDGES * cell : EDGES * (cell + 1)] for cell in range(len(CELLS))]
    bounds = [(edge_index(node, 0), edge_index(node + 1, 0)) for node in range(NODES)]
    return Genotype(*(tuple(_node(cell[first:end]) for first, end in bounds) for cell in cells))


def derive_nasbench201(probabilities: Probabilities) -> Architecture:
    """The most probable operation of every edge, be it `none` (NAS-Bench-201, section 5)."""
    return Architecture(tuple(OPERATIONS[max(range(len(row)), key=row.__getitem__)] for row in probabilities))
