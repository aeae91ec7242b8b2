"""The categorical choices that make an architecture of the DARTS space, by name."""

import math
from typing import Literal, NamedTuple

from parsec.space.darts import CANDIDATES, CELLS, NODES, PRIMITIVES, SLOTS, Edge, Genotype, Node, input_name

Kind = Literal["input", "operation"]
Form = Literal["separate", "edges"]
"""Whether every slot chooses an input and an operation, or every possible edge an operation, which may be `none`: the
form of the relaxed methods, from which `derive` makes an architecture."""
WEIGHTLESS = frozenset(("none", "skip_connect", "avg_pool_3x3", "max_pool_3x3"))
"""Operations without weights (a skip that halves the resolution has some)."""


class Factor(NamedTuple):
    """One categorical variable: which slot it belongs to and the names of its choices."""

    cell: str
    node: int
    slot: int
    kind: Kind
    choices: tuple[str, ...]


def _slot_factors(cell: str, node: int, slot: int) -> tuple[Factor, ...]:
    inputs = tuple(input_name(i) for i in range(node + 2))
    return (Factor(cell, node, slot, "input", inputs), Factor(cell, node, slot, "operation", PRIMITIVES))


def factors(form: Form) -> tuple[Factor, ...]:
    """All factors in order of cell, node, slot: 32 of 168 choices if `separate`, 28 of 224 if `edges`.

    In the form `edges` the slot of an edge is the number of its input.
    """
    if form == "edges":
        edges = ((cell, node, source) for cell in CELLS for node in range(NODES) for source in range(node + 2))
        return tuple(Factor(*edge, "operation", CANDIDATES) for edge in edges)
    return tuple(
        factor
        for cell in CELLS
        for node in range(NODES)
        for slot in range(SLOTS)
        for factor in _slot_factors(cell, node, slot)
    )


def uniform_entropy(form: Form) -> float:
    """Entropy in nats when every choice is equally likely and independent: 50.285 if `separate`."""
    return math.fsum(math.log(len(factor.choices)) for factor in factors(form))


def _check_slots(form: Form) -> None:
    if form == "edges":
        raise ValueError("choices of the form edges are no architecture; derive one from their probabilities")


def decode(indices: list[int], form: Form) -> Genotype:
    """Turn one choice for every factor, in the order of `factors`, into a genotype.

    Raises:
        ValueError: form `edges`, in which most choices are no architecture of the space.
    """
    _check_slots(form)
    names = [factor.choices[index] for factor, index in zip(factors(form), indices, strict=True)]
    edges = [Edge(primitive, source) for source, primitive in zip(indices[0::2], names[1::2], strict=True)]
    nodes: list[Node] = [tuple(edges[i : i + SLOTS]) for i in range(0, len(edges), SLOTS)]
    return Genotype(tuple(nodes[:NODES]), tuple(nodes[NODES:]))


def encode(genotype: Genotype, form: Form) -> list[int]:
    """Inverse of `decode`."""
    _check_slots(form)
    edges = [edge for cell in genotype for node in cell for edge in node]
    return [index for edge in edges for index in (edge.input, PRIMITIVES.index(edge.primitive))]
