"""An architecture of a cell space as checked, hashable data (the convention of the DARTS code)."""

import json
from typing import Any, NamedTuple, Self

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


def _edge(pair: object, node: int, where: str) -> Edge:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise GenotypeError(f"{where}: expected [primitive, input], got {pair!r}")
    primitive, source = pair
    if primitive not in PRIMITIVES:
        raise GenotypeError(f"{where}: unknown operation {primitive!r}; there are {', '.join(PRIMITIVES)}")
    if isinstance(source, bool) or not isinstance(source, int) or not 0 <= source < node + 2:
        raise GenotypeError(f"{where}: input {source!r} does not exist yet; node {node} may use 0 to {node + 1}")
    return Edge(primitive, source)


def _cell(pairs: object, name: str) -> Cell:
    if not isinstance(pairs, (list, tuple)) or len(pairs) != NODES * SLOTS:
        raise GenotypeError(f"{name}: expected a list of {NODES * SLOTS} [primitive, input] pairs, two a node")
    edges = [_edge(pair, i // SLOTS, f"{name}[{i}]") for i, pair in enumerate(pairs)]
    return tuple(tuple(edges[i : i + SLOTS]) for i in range(0, len(edges), SLOTS))


def genotype(normal: object, reduce: object) -> Genotype:
    """Build a genotype from two flat lists of eight [primitive, input] pairs.

    Raises:
        GenotypeError: an unknown primitive, an input that does not exist yet, or a wrong number of pairs.
    """
    return Genotype(_cell(normal, "normal"), _cell(reduce, "reduce"))


def from_dict(document: object) -> Genotype:
    """Read the form that `Genotype.as_dict` writes; further keys (where it came from) are ignored.

    Raises:
        GenotypeError: not a genotype of the DARTS space.
    """
    if not isinstance(document, dict):
        raise GenotypeError("a genotype is a JSON object with the keys space, normal and reduce")
    missing = {"space", "normal", "normal_concat", "reduce", "reduce_concat"} - document.keys()
    if missing:
        raise GenotypeError(f"the genotype lacks {', '.join(sorted(missing))}")
    if document["space"] != "darts":
        raise GenotypeError(f"the genotype belongs to space {document['space']!r}, not to darts")
    for key in ("normal_concat", "reduce_concat"):
        if document[key] != list(range(2, 2 + NODES)):
            raise GenotypeError(f"{key}: the darts space concatenates its {NODES} nodes, got {document[key]!r}")
    return genotype(document["normal"], document["reduce"])


def from_json(text: str) -> Genotype:
    """Read the text of a `genotype.json`.

    Raises:
        GenotypeError: not JSON, or not a genotype of the DARTS space.
    """
    try:
        return from_dict(json.loads(text))
    except json.JSONDecodeError as error:
        raise GenotypeError(f"the genotype is not JSON: {error}") from error
