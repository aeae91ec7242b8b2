"""The cell space of NAS-Bench-101 (Ying et al., ICML 2019, section 2): operations on the vertices of a graph; no torch.

A cell is a directed acyclic graph of at most 7 vertices and 9 edges. Vertex 0 is its input, the last one its output,
and every other vertex has one of three operations. Cells that are equal up to the order of their vertices are one
architecture: there are 423,624.
"""

import functools
import hashlib
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from parsec.errors import GenotypeError

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""In the order of the benchmark, on which the hash depends."""
INPUT, OUTPUT = "input", "output"
VERTICES = 7
"""Most vertices of a cell, input and output among them."""
EDGES = 9
"""Most edges of a cell."""
SIZE = 423_624

Matrix = tuple[tuple[int, ...], ...]
"""[V, V] of 0 and 1: row v, column w is 1 where an edge leads from vertex v to vertex w, which is after v."""

_EXAMPLE = "011001000:input,conv3x3-bn-relu,output"


class Architecture(NamedTuple):
    """A pruned cell: every vertex is on a path from input to output. Build it with `architecture` or `parse`."""

    operations: tuple[str, ...]
    """Of all V vertices, `input` and `output` among them."""
    matrix: Matrix

    def __str__(self) -> str:
        """Adjacency and operations as the benchmark's file writes them, joined by a colon."""
        return f"{self.adjacency}:{','.join(self.operations)}"

    @property
    def adjacency(self) -> str:
        """The matrix row by row, a digit an entry."""
        return "".join(map(str, itertools.chain.from_iterable(self.matrix)))

    def edges(self) -> list[tuple[int, int]]:
        """(from, to) of every edge, in the order of the matrix."""
        return [(v, w) for v, row in enumerate(self.matrix) for w, edge in enumerate(row) if edge]

    def canonical(self) -> str:
        """The benchmark's hash: the same for all orders of the vertices, MD5 over the neighbourhoods of all vertices.

        V rounds in which a vertex takes in the hashes of the vertices before and after it (`hash_module` of the
        benchmark's code); no two architectures of the space share a hash.
        """
        columns = list(zip(*self.matrix, strict=True))
        labels = [-1, *map(OPERATIONS.index, self.operations[1:-1]), -2]
        degrees = zip(map(sum, self.matrix), map(sum, columns), labels, strict=True)
        hashes = [_md5(str(degree)) for degree in degrees]
        before, after = ([list(_positions(row)) for row in rows] for rows in (columns, self.matrix))
        for _ in labels:
            hashes = [
                _md5(f"{_joined(hashes, before[v])}|{_joined(hashes, after[v])}|{own}") for v, own in enumerate(hashes)
            ]
        return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    # Nothing is kept secret by it: it is the benchmark's name of the cell.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _positions(row: Sequence[int]) -> list[int]:
    return [position for position, edge in enumerate(row) if edge]


def _joined(hashes: Sequence[str], vertices: Sequence[int]) -> str:
    return "".join(sorted(hashes[v] for v in vertices))


def architecture(operations: Sequence[str], matrix: Sequence[Sequence[int]]) -> Architecture:
    """The pruned architecture of a cell; limits hold for what pruning leaves, as in the benchmark.

    Args:
        operations: of all vertices; the first is `input`, the last `output`.
        matrix: [V, V], 1 where an edge leads from the vertex of the row to that of the column.

    Raises:
        GenotypeError: no square matrix of 0 and 1 above the diagonal, an unknown operation, an output that the input
            does not reach, or too many vertices or edges.
    """
    cell = pruned(operations, _checked(matrix, len(operations)))
    if cell is None:
        raise GenotypeError("nasbench101: no path leads from the input of the cell to its output")
    names = (cell.operations[0], cell.operations[-1])
    if names != (INPUT, OUTPUT):
        raise GenotypeError(f"nasbench101: the operations go from {INPUT} to {OUTPUT}, not from {' to '.join(names)}")
    for operation in cell.operations[1:-1]:
        if operation not in OPERATIONS:
            raise GenotypeError(f"nasbench101: unknown operation {operation!r}; there are {', '.join(OPERATIONS)}")
    if not is_within(cell):
        raise GenotypeError(f"nasbench101: {cell} has more than {VERTICES} vertices or {EDGES} edges")
    return cell


def is_within(cell: Architecture) -> bool:
    """Whether a cell keeps the limits on vertices and edges."""
    return len(cell.operations) <= VERTICES and sum(map(sum, cell.matrix)) <= EDGES


def pruned(operations: Sequence[str], matrix: Sequence[Sequence[int]]) -> Architecture | None:
    """The cell without vertices that are on no path from input to output; None if there is no such path.

    `matrix` is taken as checked: upper triangular, of 0 and 1.
    """
    size = len(operations)
    reached, leading = {0}, {size - 1}
    for v in range(1, size):
        reached |= {v} if any(matrix[u][v] for u in reached) else set()
    for v in reversed(range(size - 1)):
        leading |= {v} if any(matrix[v][w] for w in leading) else set()
    kept = sorted(reached & leading)
    if not {0, size - 1} <= set(kept):
        return None
    if len(kept) == size:
        return Architecture(tuple(operations), tuple(map(tuple, matrix)))
    return Architecture(tuple(operations[v] for v in kept), tuple(tuple(matrix[v][w] for w in kept) for v in kept))


def _checked(matrix: Sequence[Sequence[int]], size: int) -> Matrix:
    rows = tuple(tuple(row) for row in matrix)
    if size < 2 or len(rows) != size or {len(row) for row in rows} != {size}:
        raise GenotypeError(f"nasbench101: {size} operations need a matrix of {size} × {size}, and at least two")
    allowed = all(entry in ((0, 1) if w > v else (0,)) for v, row in enumerate(rows) for w, entry in enumerate(row))
    if not allowed:
        raise GenotypeError("nasbench101: a matrix holds 0 and 1 above the diagonal and 0 elsewhere")
    return rows


def from_columns(adjacency: str, operations: str) -> Architecture:
    """An architecture from the two texts of the benchmark's file: digits row by row, and names joined by commas.

    Raises:
        GenotypeError: as `architecture`.
    """
    names = [sys.intern(name) for name in operations.split(",")]
    if math.isqrt(len(adjacency)) ** 2 != len(adjacency) or not set(adjacency) <= {"0", "1"}:
        raise GenotypeError(f"{adjacency!r} is no matrix of nasbench101; a cell reads {_EXAMPLE}")
    side = max(math.isqrt(len(adjacency)), 1)
    return architecture(names, [_row(adjacency[v : v + side]) for v in range(0, len(adjacency), side)])


@functools.cache
def _row(digits: str) -> tuple[int, ...]:
    """A row of a matrix; there are few different ones, which all 423,624 matrices of the benchmark can share."""
    return tuple(map(int, digits))


def parse(text: str) -> Architecture:
    """Inverse of `str(architecture)`.

    Raises:
        GenotypeError: not the text of a pruned architecture of this space.
    """
    cell = from_columns(*text.split(":")) if text.count(":") == 1 else None
    if cell is None or str(cell) != text:
        raise GenotypeError(f"{text!r} is no architecture of nasbench101; one reads {_EXAMPLE}")
    return cell


Rows = list[list[int]]


def draw(rng: np.random.Generator) -> Architecture:
    """A cell of random edges (each with probability 1/2) and operations on 7 vertices, drawn again until it is valid.

    This is how the benchmark's authors draw for random search: uniform over labelled matrices. Architectures that
    many matrices stand for come more often; for equal chances draw rows of the whole table.
    """
    while True:
        matrix = np.triu(rng.integers(2, size=(VERTICES, VERTICES)), 1).tolist()
        inner = [OPERATIONS[kind] for kind in rng.integers(len(OPERATIONS), size=VERTICES - 2)]
        cell = pruned([INPUT, *inner, OUTPUT], matrix)
        if cell is not None and is_within(cell):
            return cell


def neighbours(cell: Architecture) -> list[Architecture]:
    """All architectures one edit away, each once: another operation, an edge more or less, or a vertex more.

    A new vertex comes with one edge into it and one out of it. A vertex that an edit cuts off is pruned with its edges,
    so that removing an edge can undo adding a vertex.
    """
    candidates = itertools.chain(_other_operations(cell), _flipped_edges(cell), _added_vertices(cell))
    valid = (other for other in candidates if other is not None and is_within(other))
    by_hash = {other.canonical(): other for other in valid}
    by_hash.pop(cell.canonical(), None)
    return list(by_hash.values())


def _other_operations(cell: Architecture) -> Iterator[Architecture]:
    for vertex in range(1, len(cell.operations) - 1):
        for operation in OPERATIONS:
            operations = (*cell.operations[:vertex], operation, *cell.operations[vertex + 1 :])
            yield cell._replace(operations=operations)


def _flipped_edges(cell: Architecture) -> Iterator[Architecture | None]:
    for v, w in itertools.combinations(range(len(cell.operations)), 2):
        matrix = [list(row) for row in cell.matrix]
        matrix[v][w] = 1 - matrix[v][w]
        yield pruned(cell.operations, matrix)


def _added_vertices(cell: Architecture) -> Iterator[Architecture | None]:
    """A new vertex stands right after the one that leads to it; every place until the next gives the same cell."""
    if len(cell.operations) == VERTICES:
        return
    for source, target in itertools.combinations(range(len(cell.operations)), 2):
        new = source + 1
        matrix = _with_vertex(cell, new)
        matrix[source][new] = 1
        matrix[new][target + 1] = 1
        for operation in OPERATIONS:
            yield pruned((*cell.operations[:new], operation, *cell.operations[new:]), matrix)


def _with_vertex(cell: Architecture, new: int) -> Rows:
    """The matrix with an empty row and column for a vertex number `new`."""
    rows = [[*row[:new], 0, *row[new:]] for row in cell.matrix]
    return [*rows[:new], [0] * (len(cell.operations) + 1), *rows[new:]]
