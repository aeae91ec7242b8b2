"""Spaces of one operation per edge, as NAS-Bench-201's: the shortest way to a space of one's own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from parsec.errors import GenotypeError
from parsec.space.darts import shown
from parsec.space.factors import Factor, Form
from parsec.space.spaces import Probabilities, SearchSpace

CELL = "cell"
"""Name of the one cell, in the columns of a π."""


class Operations(NamedTuple):
    """An architecture: the name of an operation for every edge, in the order of the edges of its space."""

    space: str
    operations: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The form of `genotype.json`."""
        return {"space": self.space, "operations": list(self.operations)}


class _EdgeSpace(NamedTuple):
    """What `SearchSpace` asks of a space, as functions of its edges and operations."""

    name: str
    edges: tuple[tuple[int, int], ...]
    operations: tuple[str, ...]

    def factors(self, form: Form) -> tuple[Factor, ...]:
        return tuple(Factor(CELL, node, source, "operation", self.operations) for source, node in self.edges)

    def decode(self, indices: Sequence[int], form: Form) -> Operations:
        operations = (self.operations[index] for _, index in zip(self.edges, indices, strict=True))
        return Operations(self.name, tuple(operations))

    def encode(self, architecture: Operations, form: Form) -> list[int]:
        return [self.operations.index(operation) for operation in architecture.operations]

    def derive(self, probabilities: Probabilities) -> Operations:
        return self.decode([max(range(len(row)), key=row.__getitem__) for row in probabilities], "edges")

    def from_dict(self, document: object) -> Operations:
        if not isinstance(document, dict) or document.get("space") != self.name:
            raise GenotypeError(f"the genotype belongs to another space than {self.name}")
        names = document.get("operations")
        if not isinstance(names, list) or len(names) != len(self.edges):
            raise GenotypeError(f"{self.name}: expected the operations of {len(self.edges)} edges, got {shown(names)}")
        for name in names:
            if name not in self.operations:
                known = ", ".join(self.operations)
                raise GenotypeError(f"{self.name}: unknown operation {shown(name)}; there are {known}")
        return Operations(self.name, tuple(names))


def edge_space(
    name: str, edges: Sequence[tuple[int, int]], operations: Sequence[str], relaxed: bool = False
) -> SearchSpace:
    """A space whose architectures are one of `operations` for every edge of a cell.

    Args:
        name: of the space, in settings and files.
        edges: (source, node) of every edge, each pair once; node 0 is the input of the cell.
        operations: names of the choices of an edge, at least two, each once.
        relaxed: whether its supernet can also run a mixture of operations, see `parsec.network.spaces.SpaceNetworks`.

    Raises:
        ValueError: no edge, fewer than two operations, or one that is listed twice.
    """
    if not edges or len(set(edges)) < len(edges):
        raise ValueError(f"{name}: edges are pairs (source, node), at least one, each once; got {list(edges)}")
    if len(operations) < 2 or len(set(operations)) < len(operations):
        raise ValueError(f"{name}: operations are at least two names, each once; got {list(operations)}")
    space = _EdgeSpace(name, tuple(edges), tuple(operations))
    return SearchSpace(
        name=name,
        cells=(CELL,),
        primitives=space.operations,
        candidates=space.operations,
        shape=(len(space.edges),),
        factors=space.factors,
        decode=space.decode,
        encode=space.encode,
        derive=space.derive,
        from_dict=space.from_dict,
        forms=("separate", "edges") if relaxed else ("separate",),
        is_drawn=True,
    )
