"""NAS-Bench-101 as a table: what a search may see and what only a report may, read apart.

The table is one Parquet file; `adjacency` and `operations` are the texts of the benchmark's file, accuracies are in
percent, after 108 epochs. Rows of one architecture are single runs and are averaged. The table may be a part of the
benchmark. `import-benchmark` makes it from the authors' file. What reads it raises a `BenchmarkError` for a file that
is missing, damaged or another table, or a cell in it that is not of the space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parsec.errors import BenchmarkError, GenotypeError
from parsec.space.nasbench101 import INPUT, OPERATIONS, OUTPUT, VERTICES, Architecture, from_columns, neighbours
from parsec.tabular.problem import FloatArray, Graphs, Kind, percentages, read_columns

CELL = ("adjacency", "operations")
HASH = "hash"
VALIDATION = "val_accuracy"
TEST = "test_accuracy"
SECONDS = "seconds"
"""Of training, mean over the runs."""
KIND = Kind(
    "NAS-Bench-101",
    "it must hold adjacency, operations and accuracies, as `import-benchmark` makes it from the authors' file "
    "nasbench_only108.tfrecord (github.com/google-research/nasbench)",
)


@dataclass(frozen=True)
class SearchColumns:
    """Columns that a search may see: none was measured on a test image.

    The n architectures are different, in the order of their first rows; `hashes` are the benchmark's names of them.
    Arrays are [n]: validation accuracy in percent, and seconds of one training where the table has them.
    """

    architectures: tuple[Architecture, ...]
    hashes: tuple[str, ...]
    validation: FloatArray
    seconds: FloatArray | None


def read_search_columns(path: Path) -> SearchColumns:
    """The columns that a search may see; no others are read from the file."""
    table = read_columns(path, [*CELL, VALIDATION], KIND, optional=[HASH, SECONDS])
    architectures, hashes, groups = _architectures(path, table)
    seconds = _mean(table[SECONDS].to_numpy(), groups) if SECONDS in table.column_names else None
    return SearchColumns(architectures, hashes, _accuracy(path, table, VALIDATION, groups), seconds)


def read_architectures(path: Path) -> tuple[tuple[Architecture, ...], tuple[str, ...]]:
    """Architectures and hashes as in `SearchColumns`; no accuracy is read."""
    return _architectures(path, read_columns(path, CELL, KIND, optional=[HASH]))[:2]


def read_report_columns(path: Path) -> FloatArray | None:
    """Test accuracies in percent [n], in the order of `SearchColumns`; only a report may see them.

    None for a table that has only validation accuracies.
    """
    table = read_columns(path, CELL, KIND, optional=[HASH, TEST])
    if TEST not in table.column_names:
        return None
    return _accuracy(path, table, TEST, _architectures(path, table)[2])


Groups = NDArray[np.int64]
"""[rows]: number of the row's architecture."""


def _architectures(path: Path, table: pa.Table) -> tuple[tuple[Architecture, ...], tuple[str, ...], Groups]:
    """Different architectures, their hashes, and the architecture of every row."""
    cells = [
        _cell(path, row, *texts)
        for row, texts in enumerate(zip(*(table[name].to_pylist() for name in CELL), strict=True))
    ]
    names = table[HASH].to_pylist() if HASH in table.column_names else [cell.canonical() for cell in cells]
    first: dict[str, int] = {}
    groups = np.array([first.setdefault(name, len(first)) for name in names], dtype=np.int64)
    by_name = dict(zip(reversed(names), reversed(cells), strict=True))
    return tuple(by_name[name] for name in first), tuple(first), groups


def _cell(path: Path, row: int, adjacency: str, operations: str) -> Architecture:
    try:
        return from_columns(adjacency, operations)
    except (GenotypeError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path}: row {row} is no cell of the space ({error}); {KIND.remedy}") from error


def _accuracy(path: Path, table: pa.Table, name: str, groups: Groups) -> FloatArray:
    return percentages(path, name, _mean(percentages(path, name, table[name].to_numpy(), KIND), groups), KIND)


def _mean(values: FloatArray, groups: Groups) -> FloatArray:
    return np.bincount(groups, weights=values) / np.bincount(groups)


LABELS = (INPUT, *OPERATIONS, OUTPUT)
FURTHEST = 3
"""Most edits after which a neighbour is looked for: in a part of the table the next cell may be more than one away."""


class NasBench101:
    """The architectures of a table with their validation accuracy after 108 epochs."""

    name = "nasbench101"

    def __init__(self, columns: SearchColumns) -> None:
        self.architectures = columns.architectures
        self.reached = columns.validation
        self.seconds = columns.seconds
        self.everything: Sequence[int] | None = range(len(columns.architectures))
        self._place = {name: place for place, name in enumerate(columns.hashes)}
        self._known: dict[int, list[int]] = {}

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """See `Problem.draw`."""
        return [int(place) for place in rng.integers(len(self.architectures), size=count)]

    def neighbours(self, architecture: int) -> list[int]:
        """Those of the table that are one edit away; where it holds none, those that the fewest edits lead to.

        Empty only in a table that is so small that three edits lead to none.
        """
        if architecture not in self._known:
            self._known[architecture] = self._nearest(architecture)
        return self._known[architecture]

    def _nearest(self, architecture: int) -> list[int]:
        """Cells of the table at the smallest number of edits at which there are any; empty beyond `FURTHEST`."""
        ring = {str(self.architectures[architecture]): self.architectures[architecture]}
        for _ in range(FURTHEST):
            ring = {other.canonical(): other for each in ring.values() for other in neighbours(each)}
            if inside := sorted({self._place[name] for name in ring if name in self._place} - {architecture}):
                return inside
        return []

    def accuracy(self, architecture: int) -> float:
        """Accuracy in percent, as the search sees it."""
        return float(self.reached[architecture])

    def graphs(self, architectures: Sequence[int]) -> Graphs:
        """Vertices are those of the cell, the output right after the last operation: V = 7, F = 5."""
        adjacency = np.zeros((len(architectures), VERTICES, VERTICES), np.float32)
        features = np.zeros((len(architectures), VERTICES, len(LABELS)), np.float32)
        for row, each in enumerate(architectures):
            _fill(adjacency[row], features[row], self.architectures[each])
        return Graphs(adjacency, features)


def _fill(adjacency: np.ndarray, features: np.ndarray, architecture: Architecture) -> None:
    size = len(architecture.operations)
    adjacency[:size, :size] = architecture.matrix
    features[range(size), [LABELS.index(name) for name in architecture.operations]] = 1
