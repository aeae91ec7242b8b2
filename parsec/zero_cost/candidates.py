"""Candidate architectures to score, and their untrained networks, by search space."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from parsec.config.base import seed_of
from parsec.config.training import Network
from parsec.config.zero_cost import AnyScoreJob, NasBench101ScoreJob, ScoreJob
from parsec.errors import SettingsError
from parsec.network import nasbench101 as network101
from parsec.network import nasbench201 as network201
from parsec.network.cell_network import PlainNetwork
from parsec.runtime.rng import generator
from parsec.space import darts, nasbench101, nasbench201
from parsec.space.darts import Genotype
from parsec.tabular.nasbench101 import read_architectures

A = TypeVar("A")


class CandidateSet(Protocol[A]):
    """The architectures that a scoring chooses from."""

    origin: Mapping[str, Any] = {}
    """Where the architectures come from, for the metadata of `scores.parquet`."""

    def indices(self, count: int | None, seed: int) -> list[int]:
        """Indices of `count` different architectures; a larger count keeps those of a smaller one. None: all."""

    def __getitem__(self, index: int) -> A:
        """The architecture of this index."""

    def text(self, architecture: A) -> str:
        """The architecture in one line, as the rows of `scores.parquet` name it."""
        return str(architecture)

    def network(self, architecture: A, outputs: int, side: int) -> nn.Module:
        """Its network: images [B, 3, side, side] to [B, outputs]. Weights come from the global generator."""


def shuffled(size: int, count: int | None, seed: int) -> list[int]:
    """`count` numbers below `size` in the order of a shuffle that the seed determines; None: all, in order."""
    order: list[int] = torch.randperm(size, generator=generator(seed, "architectures")).tolist()
    return sorted(order) if count is None else order[:count]


class SampledCandidates(CandidateSet[A]):
    """Architectures that the function `draw` samples; that of index i is sample number i of the seed.

    Repeats are left out: `name` gives equal networks the same name.
    """

    def __init__(self, draw: Callable[[np.random.Generator], A], name: Callable[[A], object], seed: int) -> None:
        self._draw, self._name, self._seed = draw, name, seed

    def indices(self, count: int | None, seed: int) -> list[int]:
        """See `CandidateSet.indices`.

        Raises:
            SettingsError: all are asked for.
        """
        if count is None:
            raise SettingsError("architectures: null (all) needs a table of them; give a number, or --benchmark")
        return list(itertools.islice(self._different(), count))

    def _different(self) -> Iterator[int]:
        seen = set()
        for index in itertools.count():
            name = self._name(self[index])
            if name not in seen:
                seen.add(name)
                yield index

    def __getitem__(self, index: int) -> A:
        return self._draw(np.random.default_rng(seed_of(self._seed, "architectures", index)))


class NasBench201Candidates(CandidateSet[nasbench201.Architecture]):
    """All of NAS-Bench-201, by the index in the benchmark's files."""

    def indices(self, count: int | None, seed: int) -> list[int]:
        """See `CandidateSet.indices`."""
        return shuffled(nasbench201.SIZE, count, seed)

    def __getitem__(self, index: int) -> nasbench201.Architecture:
        return nasbench201.architectures()[index]

    def network(self, architecture: nasbench201.Architecture, outputs: int, side: int) -> nn.Module:
        """The network of the benchmark."""
        return network201.BenchmarkNetwork(architecture, outputs)


class DartsCandidates(SampledCandidates[Genotype]):
    """Samples of the uniform prior of the DARTS space, in networks of one size."""

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__(darts.draw, Genotype.canonical, seed)
        self._network = network

    def text(self, architecture: Genotype) -> str:
        """The content of its `genotype.json`, in one line."""
        return json.dumps(architecture.as_dict(), separators=(",", ":"))

    def network(self, architecture: Genotype, outputs: int, side: int) -> nn.Module:
        """The network that retraining builds, without auxiliary head."""
        return PlainNetwork(architecture, self._network, outputs, side, auxiliary=False)


class NasBench101Candidates(SampledCandidates[nasbench101.Architecture]):
    """The different architectures of a table of NAS-Bench-101, by their number in it; without one, draws."""

    def __init__(self, job: NasBench101ScoreJob, seed: int, table: Path | None) -> None:
        super().__init__(nasbench101.draw, nasbench101.Architecture.canonical, seed)
        self._job = job
        self._table: tuple[nasbench101.Architecture, ...] | None = None
        if table is not None:
            self._table, names = read_architectures(table)
            digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
            self.origin = {"table": {"file": table.name, "architectures_hash": digest}}

    def indices(self, count: int | None, seed: int) -> list[int]:
        """See `CandidateSet.indices`.

        Raises:
            SettingsError: more than the table holds, or all without a table.
        """
        if self._table is None:
            return super().indices(count, seed)
        if count is not None and count > len(self._table):
            raise SettingsError(f"architectures: got {count}; allowed: at most the table's {len(self._table)}, or null")
        return shuffled(len(self._table), count, seed)

    def __getitem__(self, index: int) -> nasbench101.Architecture:
        return super().__getitem__(index) if self._table is None else self._table[index]

    def network(self, architecture: nasbench101.Architecture, outputs: int, side: int) -> nn.Module:
        """The network of the benchmark, at the size of the settings."""
        return network101.BenchmarkNetwork(architecture, outputs, self._job.channels, self._job.modules)


def candidate_set(job: AnyScoreJob, seed: int, table: Path | None) -> CandidateSet[Any]:
    """The architectures that a job chooses from.

    Raises:
        BenchmarkError: the table is missing, damaged or another one.
        SettingsError: a table for a space that needs none.
    """
    if isinstance(job, NasBench101ScoreJob):
        return NasBench101Candidates(job, seed, table)
    if table is not None:
        raise SettingsError(f"--benchmark: the space {job.space} takes no table of architectures; leave it out")
    return NasBench201Candidates() if isinstance(job, ScoreJob) else DartsCandidates(job.network, seed)
