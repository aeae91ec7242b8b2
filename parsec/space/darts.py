"""The DARTS cell space and its genotypes: 4 nodes per cell, 2 edges per node, 7 primitives (DARTS, section 2.1)."""

import reprlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self, TypeGuard

import numpy as np

from parsec.errors import GenotypeError

PRIMITIVES = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""DARTS' candidates without `none`, which makes the paper's seven."""

CANDIDATES = ("none", *PRIMITIVES)
"""DARTS' eight primitives, of which a relaxed edge mixes all."""

CELLS = ("normal", "reduce")
NODES = 4
SLOTS = 2
EDGES = sum(node + 2 for node in range(NODES))
"""Possible connections of a cell: 14."""


def input_name(index: int) -> str:
    """Name of an input: `c_{k-2}` and `c_{k-1}` are the cells before, `node_0` … the nodes."""
    return ("c_{k-2}", "c_{k-1}")[index] if index < 2 else f"node_{index - 2}"


def edge_index(node: int, source: int) -> int:
    """Position of the connection source → node among the 14 of a cell, in node order."""
    return node * (node + 3) // 2 + source


def is_reduction(cell: int, cells: int) -> bool:
    """Whether cell number `cell` of a stack of `cells` halves the resolution: at one third and two thirds (DARTS)."""
    return cell in (cells // 3, 2 * cells // 3)


class Edge(NamedTuple):
    """One choice of a node: the primitive and the input that it is applied to."""

    primitive: str
    input: int


Node = tuple[Edge, ...]
Cell = tuple[Node, ...]


class Genotype(NamedTuple):
    """A normal and a reduction cell; build it with `genotype`, which checks it.

    Inputs 0 and 1 of a node are the outputs of the two cells before, input 2 + j is node j.
    """

    normal: Cell
    reduce: Cell

    def as_dict(self) -> dict[str, Any]:
        """The form of `genotype.json`: two pairs per node in node order."""
        concat = list(range(2, 2 + NODES))
        pairs = {name: [list(edge) for node in cell for edge in node] for name, cell in self._asdict().items()}
        return {
            "space": "darts",
            "normal": pairs["normal"],
            "normal_concat": concat,
            "reduce": pairs["reduce"],
            "reduce_concat": concat,
        }

    def canonical(self) -> Self:
        """The same function with the edges of every node in a fixed order; equal networks compare equal."""
        cells = (tuple(tuple(sorted(node, key=lambda e: (e.input, e.primitive))) for node in cell) for cell in self)
        return type(self)(*cells)


def shown(value: object) -> str:
    """A value of a document, short enough for a line however large or deep it is."""
    text = reprlib.repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _is_list(value: object, length: int) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple) and len(value) == length


def _edge(pair: object, node: int, where: str) -> Edge:
    if not _is_list(pair, 2):
        raise GenotypeError(f"{where}: expected [primitive, input], got {shown(pair)}")
    primitive, source = pair
    if not isinstance(primitive, str) or primitive not in PRIMITIVES:
        raise GenotypeError(f"{where}: unknown operation {shown(primitive)}; there are {', '.join(PRIMITIVES)}")
    if isinstance(source, bool) or not isinstance(source, int) or not 0 <= source < node + 2:
        raise GenotypeError(f"{where}: input {shown(source)} does not exist yet; node {node} may use 0 to {node + 1}")
    return Edge(primitive, source)


def _cell(pairs: object, name: str) -> Cell:
    nodes = [node for node in pairs if _is_list(node, SLOTS)] if _is_list(pairs, NODES) else []
    if len(nodes) == NODES and all(isinstance(node[0], list | tuple) for node in nodes):
        # The pairs of each node in a list of their own, as pt.darts writes them.
        placed = [(f"{name}[{i}][{j}]", pair) for i, node in enumerate(nodes) for j, pair in enumerate(node)]
    elif _is_list(pairs, NODES * SLOTS):
        placed = [(f"{name}[{i}]", pair) for i, pair in enumerate(pairs)]
    else:
        raise GenotypeError(
            f"{name}: expected a list of {NODES * SLOTS} [primitive, input] pairs, two per node, or {NODES} lists of "
            f"two pairs, got {shown(pairs)}"
        )
    edges = [_edge(pair, i // SLOTS, where) for i, (where, pair) in enumerate(placed)]
    return tuple(tuple(edges[i : i + SLOTS]) for i in range(0, len(edges), SLOTS))


def genotype(normal: object, reduce: object) -> Genotype:
    """Build a genotype from two lists of eight [primitive, input] pairs, flat or in a list per node.

    Raises:
        GenotypeError: an unknown primitive, an input that does not exist yet, or a wrong number of pairs.
    """
    return Genotype(_cell(normal, "normal"), _cell(reduce, "reduce"))


def from_dict(document: object) -> Genotype:
    """Read the form that `Genotype.as_dict` writes, where `space` may be missing; further keys are ignored.

    Raises:
        GenotypeError: not a genotype of the DARTS space.
    """
    if not isinstance(document, dict):
        raise GenotypeError("a genotype is a JSON object with the keys space, normal and reduce")
    if (space := document.get("space", "darts")) != "darts":
        raise GenotypeError(f"the genotype belongs to space {shown(space)}, not to darts")
    missing = {"normal", "normal_concat", "reduce", "reduce_concat"} - document.keys()
    if missing:
        raise GenotypeError(f"the genotype lacks {', '.join(sorted(missing))}")
    for key in ("normal_concat", "reduce_concat"):
        if document[key] != list(range(2, 2 + NODES)):
            raise GenotypeError(f"{key}: the darts space concatenates its {NODES} nodes, got {shown(document[key])}")
    return genotype(document["normal"], document["reduce"])


def draw(rng: np.random.Generator) -> Genotype:
    """An architecture from PARSEC's uniform prior: input and operation of every slot independent and equally likely."""
    slots = [node for node in range(NODES) for _ in range(SLOTS)]
    cells = (
        [(PRIMITIVES[rng.integers(len(PRIMITIVES))], int(rng.integers(node + 2))) for node in slots] for _ in CELLS
    )
    return genotype(*cells)


def neighbours(genotype: Genotype) -> list[Genotype]:
    """The canonical architectures that differ in the primitive or in the input of one edge, each once.

    Up to 96 in a primitive and 40 in an input; fewer where a node has two equal edges.
    """
    here = genotype.canonical()
    return [other for other in dict.fromkeys(_edited(here)) if other != here]


def _edited(genotype: Genotype) -> Iterator[Genotype]:
    for name, cell in genotype._asdict().items():
        for node, edges in enumerate(cell):
            for slot, edge in enumerate(edges):
                for other in _edges(edge, node):
                    changed = (*edges[:slot], other, *edges[slot + 1 :])
                    yield genotype._replace(**{name: (*cell[:node], changed, *cell[node + 1 :])}).canonical()


def _edges(edge: Edge, node: int) -> Iterator[Edge]:
    for primitive in PRIMITIVES:
        if primitive != edge.primitive:
            yield edge._replace(primitive=primitive)
    for source in range(node + 2):
        if source != edge.input:
            yield edge._replace(input=source)
