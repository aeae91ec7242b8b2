"""Drawing cells of NAS-Bench-101 and changing them one edit at a time."""

import itertools
from collections.abc import Iterator

import numpy as np

from parsec.space.nasbench101 import INPUT, OPERATIONS, OUTPUT, VERTICES, Architecture, is_within, pruned

Rows = list[list[int]]


def draw(rng: np.random.Generator) -> Architecture:
    """A cell of random edges (each with probability 1/2) and operations on 7 vertices, drawn anew until it is valid.

    This is how the benchmark's authors draw for random search: uniform over labelled matrices. Architectures that
    many matrices stand for come more often; for equal chances draw rows of the whole table.
    """
    while True:
        matrix = np.triu(rng.integers(2, size=(VERTICES, VERTICES)), 1).tolist()
        inner = [OPERATIONS[kind] for kind in rng.integers(len(OPERATIONS), size=VERTICES - 2)]
        found = pruned([INPUT, *inner, OUTPUT], matrix)
        if found is not None and is_within(found):
            return found


def mutate(found: Architecture, rng: np.random.Generator) -> Architecture:
    """One of the `neighbours`, all equally likely."""
    others = neighbours(found)
    return others[int(rng.integers(len(others)))]


def neighbours(found: Architecture) -> list[Architecture]:
    """All architectures one edit away, each once: another operation, an edge more or less, or a vertex more.

    A new vertex comes with one edge into it and one out of it. A vertex that an edit cuts off is pruned with its edges,
    so that removing an edge can undo adding a vertex.
    """
    candidates = itertools.chain(_other_operations(found), _flipped_edges(found), _added_vertices(found))
    valid = (other for other in candidates if other is not None and is_within(other))
    by_hash = {other.canonical(): other for other in valid}
    by_hash.pop(found.canonical(), None)
    return list(by_hash.values())


def _other_operations(found: Architecture) -> Iterator[Architecture]:
    for vertex in range(1, len(found.operations) - 1):
        for operation in OPERATIONS:
            operations = (*found.operations[:vertex], operation, *found.operations[vertex + 1 :])
            yield found._replace(operations=operations)


def _flipped_edges(found: Architecture) -> Iterator[Architecture | None]:
    for v, w in itertools.combinations(range(len(found.operations)), 2):
        matrix = [list(row) for row in found.matrix]
        matrix[v][w] = 1 - matrix[v][w]
        yield pruned(found.operations, matrix)


def _added_vertices(found: Architecture) -> Iterator[Architecture | None]:
    """A new vertex stands right after the one that leads to it; every place until the next gives the same cell."""
    if len(found.operations) == VERTICES:
        return
    for source, target in itertools.combinations(range(len(found.operations)), 2):
        new = source + 1
        matrix = _with_vertex(found, new)
        matrix[source][new] = 1
        matrix[new][target + 1] = 1
        for operation in OPERATIONS:
            yield pruned((*found.operations[:new], operation, *found.operations[new:]), matrix)


def _with_vertex(found: Architecture, new: int) -> Rows:
    """The matrix with an empty row and column for a vertex number `new`."""
    rows = [[*row[:new], 0, *row[new:]] for row in found.matrix]
    return [*rows[:new], [0] * (len(found.operations) + 1), *rows[new:]]
