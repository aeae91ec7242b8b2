"""NAS-Bench-201 as a table: what a search may see and what only a report may, read apart.

The table is one Parquet file with one row per architecture; accuracies are percentages, means over the seeds there are.
What reads it raises a `BenchmarkError` for a file that is missing, damaged or another table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parsec.errors import BenchmarkError
from parsec.space.nasbench201 import EDGES, NODES, OPERATIONS, SIZE, Architecture, architectures, index_of
from parsec.tabular.problem import FloatArray, Graphs, Kind, percentages, read_columns

Data = Literal["cifar10", "cifar100", "in16"]
"""Data sets of the benchmark; `in16` is ImageNet16-120."""

DATA: tuple[Data, ...] = ("cifar10", "cifar100", "in16")
VALIDATION_12 = {data: f"{data}_val_12" for data in DATA}
VALIDATION_200 = {data: f"{data}_val_200" for data in DATA}
SECONDS_12 = {data: f"{data}_seconds_12" for data in DATA}
TEST_200 = {data: f"{data}_test_200" for data in DATA}
HALF_200 = "naslib_cifar10_val_200"
"""In spite of its name measured on test images, with networks that were trained on half of the training images."""

KIND = Kind(
    "NAS-Bench-201",
    "it must hold arch_index, arch_str and accuracies of all architectures, as `import-benchmark` makes it from the "
    "authors' file NATS-tss-v1_0-3ffb9-simple (github.com/D-X-Y/NATS-Bench)",
)


@dataclass(frozen=True)
class SearchColumns:
    """Columns that a search may see: none was measured on a test image. Arrays are [15625], by index.

    `validation` are accuracies after 12 epochs in percent, by data set.
    """

    architectures: tuple[Architecture, ...]
    validation: dict[Data, FloatArray]


@dataclass(frozen=True)
class ReportColumns:
    """Columns that only a report may see: test accuracies after 200 epochs in percent, [15625] by index.

    `test` are those on all training images, by data set; `half` those on CIFAR-10 of networks trained on half of its
    training images, as were the ones whose validation accuracy NASWOT's figures show.
    """

    test: dict[Data, FloatArray]
    half: FloatArray


def read_search_columns(path: Path) -> SearchColumns:
    """The columns that a search may see; no others are read from the file."""
    columns = _read(path, list(VALIDATION_12.values()))
    return SearchColumns(architectures(), {data: columns[name] for data, name in VALIDATION_12.items()})


def read_report_columns(path: Path) -> ReportColumns:
    """The columns that only a report may see."""
    columns = _read(path, [*TEST_200.values(), HALF_200])
    return ReportColumns({data: columns[name] for data, name in TEST_200.items()}, columns[HALF_200])


def read_validation(path: Path) -> dict[Data, FloatArray]:
    """Validation accuracies after 200 epochs in percent, [15625] by index, by data set, of data sets that have them.

    On CIFAR-10 they are of networks that were trained on half of the training images. A search may not see them: it
    pays for 12 epochs. Empty if the table has no such columns, which those imported from the authors' files have.
    """
    return _optional(path, VALIDATION_200, _read)


def read_seconds(path: Path) -> dict[Data, FloatArray] | None:
    """Cost of one evaluation of a search: seconds of 12 epochs of training and one pass over the validation images.

    [15625] by index, by data set; NaN where the benchmark lacks times. None if the table has no such columns, as one
    has that was not imported from the authors' files.
    """
    return _optional(path, SECONDS_12, _ordered) or None


def _optional(
    path: Path, columns: dict[Data, str], read: Callable[[Path, list[str]], dict[str, FloatArray]]
) -> dict[Data, FloatArray]:
    """By data set, those of the columns that the table has."""
    there = read_columns(path, [], KIND, optional=list(columns.values())).column_names
    values = read(path, there) if there else {}
    return {data: values[name] for data, name in columns.items() if name in values}


def _read(path: Path, columns: list[str]) -> dict[str, FloatArray]:
    return {name: percentages(path, name, values, KIND) for name, values in _ordered(path, columns).items()}


def _ordered(path: Path, columns: list[str]) -> dict[str, FloatArray]:
    """Columns by index, after a check that the rows are the benchmark's architectures."""
    table = read_columns(path, ["arch_index", "arch_str", *columns], KIND)
    indices = table["arch_index"].to_numpy()
    order = np.argsort(indices, kind="stable")
    if not np.array_equal(indices[order], np.arange(SIZE)):
        raise BenchmarkError(f"{path}: arch_index does not count {SIZE} architectures from 0; {KIND.remedy}")
    names = table["arch_str"].take(pa.array(order)).to_pylist()
    for index, (name, expected) in enumerate(zip(names, architectures(), strict=True)):
        if name != str(expected):
            raise BenchmarkError(f"{path}: index {index} is {name!r}, which should be {expected}; {KIND.remedy}")
    return {name: table[name].to_numpy()[order] for name in columns}


INPUT, OUTPUT = len(EDGES), len(EDGES) + 1
"""Vertices after those of the operations."""


class NasBench201:
    """The 15,625 architectures with their accuracy after 12 epochs on the validation split of one data set."""

    name = "nasbench201"
    choices: Sequence[int] = (len(OPERATIONS),) * len(EDGES)

    def __init__(self, columns: SearchColumns, data: Data = "cifar10") -> None:
        self._architectures = columns.architectures
        self.reached = columns.validation[data]
        self.everything: Sequence[int] | None = range(SIZE)

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """See `Problem.draw`."""
        return [int(index) for index in rng.integers(SIZE, size=count)]

    @cached_property
    def _neighbours(self) -> NDArray[np.int32]:
        """[15625, 24]."""
        return np.array(
            [[index_of(other) for other in architecture.neighbours()] for architecture in self._architectures], np.int32
        )

    def neighbours(self, architecture: int) -> list[int]:
        """The 24 that differ in one edge."""
        return [int(index) for index in self._neighbours[architecture]]

    def of_choices(self, indices: Sequence[int]) -> int:
        """The architecture with these operations on its six edges."""
        return index_of(Architecture(tuple(OPERATIONS[choice] for choice in indices)))

    def accuracy(self, architecture: int) -> float:
        """Accuracy in percent, as the search sees it."""
        return float(self.reached[architecture])

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        """[15625, 8, 7]: one-hot operations of the edges, then input and output."""
        kinds = np.array(
            [[OPERATIONS.index(op) for op in architecture.operations] for architecture in self._architectures]
        )
        ends = np.broadcast_to([len(OPERATIONS), len(OPERATIONS) + 1], (len(kinds), 2))
        one_hot: NDArray[np.float32] = np.eye(len(OPERATIONS) + 2, dtype=np.float32)[
            np.concatenate([kinds, ends], axis=1)
        ]
        return one_hot

    def graphs(self, architectures: Sequence[int]) -> Graphs:
        """Vertices are the operations of the six edges, the input and the output of the cell."""
        indices = np.asarray(architectures, dtype=np.int64)
        return Graphs(np.broadcast_to(_ADJACENCY, (len(indices), *_ADJACENCY.shape)), self._features[indices])


def _adjacency() -> NDArray[np.float32]:
    """An operation leads to every operation that reads the node it adds to."""
    adjacency = np.zeros((len(EDGES) + 2, len(EDGES) + 2), np.float32)
    for (first, (source, node)), (second, (other, _)) in product(enumerate(EDGES), enumerate(EDGES)):
        adjacency[INPUT, first] = source == 0
        adjacency[first, OUTPUT] = node == NODES - 1
        adjacency[first, second] = node == other
    return adjacency


_ADJACENCY = _adjacency()
