"""The categorical choices that make an architecture of the DARTS space, by name."""

import math
from typing import Literal, NamedTuple

from parsec.space.darts import CANDIDATES, CELLS, NODES, PRIMITIVES, SLOTS, Edge, Genotype, Node, input_name

Kind = Literal["input", "operation", "joint"]
Parametrization = Literal["separate", "joint", "edges"]
"""Whether the input and the operation of a slot are chosen separately or jointly, or every possible edge has an
operation, which may be `none`: the form of the relaxed methods, from which `derive` makes an architecture."""
SEPARATOR = ":"
WEIGHTLESS = frozenset(("none", "skip_connect", "avg_pool_3x3", "max_pool_3x3"))
"""Operations without weights (a skip that halves the resolution has some)."""


class Factor(NamedTuple):
    """One categorical variable: which slot it belongs to and the names of its choices."""

    cell: str
    node: int
    slot: int
    kind: Kind
    choices: tuple[str, ...]


def _slot_factors(cell: str, node: int, slot: int, form: Parametrization) -> tuple[Factor, ...]:
    inputs = tuple(input_name(i) for i in range(node + 2))
    if form == "joint":
        pairs = tuple(f"{i}{SEPARATOR}{p}" for i in inputs for p in PRIMITIVES)
        return (Factor(cell, node, slot, "joint", pairs),)
    return (Factor(cell, node, slot, "input", inputs), Factor(cell, node, slot, "operation", PRIMITIVES))


def factors(form: Parametrization) -> tuple[Factor, ...]:
    """All factors in order of cell, node, slot: 32 of 168 choices if `separate`, 16 of 392 if `joint`.

    In the form `edges` 28 of 224 choices; the slot of an edge is the number of its input.
    """
    if form == "edges":
        edges = ((cell, node, source) for cell in CELLS for node in range(NODES) for source in range(node + 2))
        return tuple(Factor(*edge, "operation", CANDIDATES) for edge in edges)
    return tuple(
        factor
        for cell in CELLS
        for node in range(NODES)
        for slot in range(SLOTS)
        for factor in _slot_factors(cell, node, slot, form)
    )


def uniform_entropy(form: Parametrization) -> float:
    """Entropy in nats when every choice is equally likely and independent: 50.285 of slots in both forms."""
    return math.fsum(math.log(len(factor.choices)) for factor in factors(form))


def _check_slots(form: Parametrization) -> None:
    if form == "edges":
        raise ValueError("choices of the form edges are no architecture; derive one from their probabilities")


def _edge(choice: list[str]) -> Edge:
    source, primitive = choice if len(choice) == 2 else choice[0].split(SEPARATOR)
    return Edge(primitive, [input_name(i) for i in range(NODES + 1)].index(source))


def decode(chosen: list[int], form: Parametrization) -> Genotype:
    """Turn one choice for every factor, in the order of `factors`, into a genotype.

    Raises:
        ValueError: form `edges`, in which most choices are no architecture of the space.
    """
    _check_slots(form)
    names = [factor.choices[index] for factor, index in zip(factors(form), chosen, strict=True)]
    width = len(names) // (len(CELLS) * NODES * SLOTS)
    edges = [_edge(names[i : i + width]) for i in range(0, len(names), width)]
    nodes: list[Node] = [tuple(edges[i : i + SLOTS]) for i in range(0, len(edges), SLOTS)]
    return Genotype(tuple(nodes[:NODES]), tuple(nodes[NODES:]))


def encode(genotype: Genotype, form: Parametrization) -> list[int]:
    """Inverse of `decode`."""
    _check_slots(form)
    edges = [edge for cell in genotype for node in cell for edge in node]
    if form == "joint":
        return [edge.input * len(PRIMITIVES) + PRIMITIVES.index(edge.primitive) for edge in edges]
    return [index for edge in edges for index in (edge.input, PRIMITIVES.index(edge.primitive))]
