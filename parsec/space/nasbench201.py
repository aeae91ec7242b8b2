"""The NAS-Bench-201 cell space: one operation per edge of a cell with four nodes (NAS-Bench-201, section 2)."""

import functools
import itertools
import random
import re
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

from parsec.errors import GenotypeError
from parsec.space.factors import Factor, Form

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4
"""Node 0 is the input of the cell, the last node its output; every other node adds up what its edges bring."""
EDGES = tuple((source, node) for node in range(1, NODES) for source in range(node))
"""(source, node) of every edge, in the order of the benchmark's string."""
SIZE = len(OPERATIONS) ** len(EDGES)
"""Architectures: 15,625."""

_EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
_EDGE = re.compile(r"([^|~+]+)~(\d+)")
_BENCHMARK_SEED = 88
"""With it the authors of the benchmark shuffled all architectures before they numbered them."""


class Architecture(NamedTuple):
    """An operation for every edge, in the order of `EDGES`; build it with `architecture` or `parse`, which check."""

    operations: tuple[str, ...]

    def __str__(self) -> str:
        """The benchmark's string: `|operation~source|…|` of every node after the first, joined by `+`."""
        pairs = zip(EDGES, self.operations, strict=True)
        by_node = itertools.groupby(pairs, key=lambda pair: pair[0][1])
        return "+".join("|" + "".join(f"{op}~{edge[0]}|" for edge, op in group) for _, group in by_node)

    def as_dict(self) -> dict[str, Any]:
        """The form of `genotype.json`: the benchmark's string of the one cell."""
        return {"space": "nasbench201", "cell": str(self)}

    def edges_into(self, node: int) -> list[tuple[int, str]]:
        """Source and operation of the edges of a node."""
        return [(edge[0], op) for edge, op in zip(EDGES, self.operations, strict=True) if edge[1] == node]

    def nodes_read(self) -> list[int]:
        """The last node and those on which it depends through edges that are not `none`, in order, without node 0."""
        read = {NODES - 1}
        for node in range(NODES - 1, 0, -1):
            read |= {source for source, op in self.edges_into(node) if node in read and op != "none"}
        return sorted(read - {0})

    def neighbours(self) -> Iterator[Self]:
        """The 24 architectures that differ in one edge."""
        for position, before in enumerate(self.operations):
            for operation in OPERATIONS:
                if operation != before:
                    yield type(self)((*self.operations[:position], operation, *self.operations[position + 1 :]))

    def canonical(self) -> str:
        """A text that is the same for cells of one topology: 6,466 of them in the space, as the benchmark counts.

        Skips are left out, what comes from a zero is zero (`#`), and the terms of a node's sum are sorted. The
        count takes a convolution of zeros for zero, which after training its batch norm's shift may not be.
        """
        nodes = ["0"]
        for node in range(1, NODES):
            nodes.append("+".join(sorted(_term(nodes[source], op) for source, op in self.edges_into(node))))
        return nodes[-1]


def _term(source: str, operation: str) -> str:
    if operation == "none" or source == "#":
        return "#"
    return source if operation == "skip_connect" else f"({source})@{operation}"


def architecture(operations: object) -> Architecture:
    """An architecture from six names of operations in the order of `EDGES`.

    Raises:
        GenotypeError: not six, or an unknown operation.
    """
    if not isinstance(operations, (list, tuple)) or len(operations) != len(EDGES):
        raise GenotypeError(f"nasbench201: expected the operations of {len(EDGES)} edges, got {operations!r}")
    for operation in operations:
        if operation not in OPERATIONS:
            raise GenotypeError(f"nasbench201: unknown operation {operation!r}; there are {', '.join(OPERATIONS)}")
    return Architecture(tuple(operations))


def parse(text: str) -> Architecture:
    """Inverse of `str(architecture)`.

    Raises:
        GenotypeError: not the string of an architecture of this space.
    """
    parsed = architecture([match[1] for match in _EDGE.finditer(text)]) if text.count("~") == len(EDGES) else None
    if parsed is None or str(parsed) != text:
        raise GenotypeError(f"{reprlib.repr(text)} is no architecture of nasbench201; one reads {_EXAMPLE}")
    return parsed


@functools.cache
def architectures() -> tuple[Architecture, ...]:
    """All 15,625 architectures; the position is the index in the benchmark's files."""
    cells = [Architecture(operations) for operations in itertools.product(OPERATIONS, repeat=len(EDGES))]
    random.Random(_BENCHMARK_SEED).shuffle(cells)
    return tuple(cells)


@functools.cache
def _positions() -> dict[Architecture, int]:
    return {cell: position for position, cell in enumerate(architectures())}


def index_of(cell: Architecture) -> int:
    """Position of an architecture in the benchmark's files."""
    return _positions()[cell]


CELL = "cell"


def factors(form: Form) -> tuple[Factor, ...]:
    """Six factors of five choices in the order of `EDGES`; the slot of an edge is the number of its source.

    The forms `separate` and `edges` are the same here.
    """
    return tuple(Factor(CELL, node, source, "operation", OPERATIONS) for source, node in EDGES)


def decode(indices: Sequence[int], form: Form) -> Architecture:
    """Turn one choice for every factor, in the order of `factors`, into an architecture."""
    pairs = zip(factors(form), indices, strict=True)
    return Architecture(tuple(factor.choices[index] for factor, index in pairs))


def encode(cell: Architecture, form: Form) -> list[int]:
    """Inverse of `decode`."""
    pairs = zip(factors(form), cell.operations, strict=True)
    return [factor.choices.index(operation) for factor, operation in pairs]


def from_dict(document: object) -> Architecture:
    """Read the form that `Architecture.as_dict` writes; further keys (where it came from) are ignored.

    Raises:
        GenotypeError: not an architecture of NAS-Bench-201.
    """
    if not isinstance(document, dict) or document.get("space") != "nasbench201":
        raise GenotypeError("the genotype belongs to another space than nasbench201")
    if not isinstance(document.get("cell"), str):
        raise GenotypeError("the genotype of nasbench201 lacks its cell, a text")
    return parse(document["cell"])
