"""An architecture of a cell space as checked, hashable data (the convention of the DARTS code)."""

import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Self, TypeGuard

from parsec.errors import GenotypeError
from parsec.space.darts import NODES, PRIMITIVES, SLOTS


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
        """The form of `genotype.json`: two pairs a node in node order."""
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
