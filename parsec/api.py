"""The package in Python: π and genotypes as objects, stages as functions, spaces and data sets of one's own.

Files, folders and settings are those of the command line and of the workflow, and so are the errors: each mistake is a
`parsec.errors.UserError` of one line. What needs PyTorch imports it when it is called.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from parsec.errors import SettingsError, UserError

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from parsec.config.settings import Settings
    from parsec.config.training import Network
    from parsec.network.cost import Cost
    from parsec.network.spaces import SpaceNetworks
    from parsec.prior.distribution import Prior as Distribution
    from parsec.space.spaces import Architecture, SearchSpace

Stem = Literal["cifar", "imagenet"]
Section = Mapping[str, Any]
"""A section of the settings, nested as in a settings file."""
Dataset = str | Path | Section
"""See `search`."""


@dataclass(frozen=True)
class Genotype:
    """An architecture of any space; equal genotypes are equal, and can be keys of a dictionary."""

    architecture: "Architecture"
    """The architecture in the type of its space; of DARTS it has the fields `normal` and `reduce`."""

    @property
    def space(self) -> str:
        """Name of its search space."""
        return str(self.as_dict()["space"])

    def as_dict(self) -> dict[str, Any]:
        """The document of a `genotype.json`."""
        return self.architecture.as_dict()

    def build(
        self,
        cells: int,
        channels: int,
        classes: int = 10,
        stem: Stem = "cifar",
        auxiliary: bool = False,
        image_size: int | None = None,
    ) -> "torch.nn.Module":
        """The network of this architecture: normalised images [B, 3, H, W] to logits [B, classes].

        The result is a tuple only in training with an auxiliary head: the logits, and those of the head. Weights are
        PyTorch's initial ones, from the global generator (`torch.manual_seed`); there is no drop-path. The
        `weights.safetensors` of a retraining of the same size fits `load_state_dict`.

        Args:
            cells: in the stack; on NAS-Bench-201 those of a stage (the benchmark: 5).
            channels: of the first cell, an even number.
            classes: labels of the data set.
            stem: `cifar` for small images, `imagenet` for large ones.
            auxiliary: with the auxiliary head of DARTS, which helps to train deep stacks.
            image_size: pixels, on which only the auxiliary head depends; default: 32 (cifar) or 224 (imagenet).

        Raises:
            SettingsError: a size or head that the space does not have.
        """
        from parsec.network.spaces import NETWORKS

        network = _network(self.space, cells, channels, stem)
        return NETWORKS[self.space].fixed(self.architecture, network, classes, _side(stem, image_size), auxiliary)

    def complexity(
        self, cells: int, channels: int, classes: int = 10, image_size: int | None = None, stem: Stem = "cifar"
    ) -> "Cost":
        """Parameters and multiply-adds of the network of `build`, without auxiliary head, on one image.

        Args:
            cells: as in `build`.
            channels: as in `build`.
            classes: as in `build`.
            image_size: pixels; default: 32 (cifar) or 224 (imagenet).
            stem: as in `build`.

        Raises:
            SettingsError: a size that the space does not have.
        """
        from parsec.network.spaces import child_cost

        network = _network(self.space, cells, channels, stem)
        return child_cost(self.architecture, network, classes, _side(stem, image_size))


def _network(space: str, cells: int, channels: int, stem: Stem) -> "Network":
    """Size of a network, checked as in settings."""
    from parsec.config.load import load_job
    from parsec.config.search import PriorConfig, check_space
    from parsec.config.training import Network

    network = load_job(json.dumps({"stem": stem, "cells": cells, "channels": channels}), Network)
    try:
        check_space(space, PriorConfig(), "auto", {"network": network})
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return network


def _side(stem: Stem, image_size: int | None) -> int:
    return image_size or {"cifar": 32, "imagenet": 224}[stem]


class Prior:
    """The architecture distribution p(α|π) of a `pi.parquet`."""

    def __init__(self, distribution: "Distribution", metadata: dict[str, str]) -> None:
        self.distribution = distribution
        """The PyTorch object: logits, differentiable log-probabilities of chosen indices, conditional factors."""
        self.metadata = metadata
        """Where π came from: space, stage, data set, method, seed, epoch and fingerprints."""

    @property
    def space(self) -> str:
        """Name of the search space."""
        return self.distribution.space.name

    def sample(self, n: int, seed: int = 0) -> list[Genotype]:
        """`n` independent architectures; equal seeds give equal ones.

        Raises:
            ValueError: the π of a relaxed method on the DARTS space, which is no distribution over architectures.
        """
        from parsec.runtime.rng import generator

        chosen = self.distribution.sample(n, generator(seed, "draws of load_prior"))
        decode, form = self.distribution.space.decode, self.distribution.form.factors
        return [Genotype(decode(row, form)) for row in chosen.tolist()]

    def mode(self) -> Genotype:
        """The most probable architecture; of a relaxed method the one that its space derives."""
        return Genotype(self.distribution.mode())

    def entropy(self) -> float:
        """Exact entropy of p(α|π) in nats."""
        return self.distribution.entropy()

    def probabilities(self) -> "pd.DataFrame":
        """One row per choice: cell, node, slot, factor, choice, logit and marginal probability."""
        import pandas as pd

        from parsec.prior.parquet import columns

        return pd.DataFrame(columns(self.distribution))

    def log_prob(self, genotype: Genotype) -> float:
        """Log p(α|π) of an architecture in nats; minus infinity if it is never sampled.

        Raises:
            UserError: an architecture of another space.
            ValueError: as `sample`.
        """
        import torch

        if genotype.space != self.space:
            raise UserError(f"the genotype belongs to space {genotype.space}, π to {self.space}; give one of its space")
        chosen = self.distribution.space.encode(genotype.architecture, self.distribution.form.factors)
        with torch.no_grad():
            return float(self.distribution.log_prob(torch.tensor([chosen])))


def load_prior(path: str | Path, epoch: int | None = None) -> Prior:
    """The π of a `pi.parquet`, or the last one of a `trajectory.parquet`; space and form are in the file.

    Args:
        path: the file.
        epoch: of a trajectory, the epoch after which π is wanted; 0 is its start.

    Raises:
        PriorError: missing, damaged, of a space that is not registered, or without that epoch.
    """
    from parsec.prior.parquet import open_prior

    return Prior(*open_prior(Path(path), epoch))


def load_genotype(path_or_name: str | Path) -> Genotype:
    """A published genotype by its name, such as `DARTS_V2`, or the one in a file, or in the text itself.

    Files hold a `genotype.json` or the printed `Genotype(normal=[...], ...)`.

    Raises:
        GenotypeError: none of these, or no architecture of its space.
    """
    from parsec.space.published import of_any_space

    return Genotype(of_any_space(str(path_or_name)))


@dataclass(frozen=True)
class SearchRun:
    """A finished search; its files are in `folder`."""

    folder: Path

    @cached_property
    def result(self) -> dict[str, Any]:
        """`result.json`: settings, accuracy with shared weights, complexity, cost and provenance."""
        return _result(self.folder)

    @property
    def prior(self) -> Prior:
        """The learnt π."""
        return load_prior(self.folder / "pi.parquet")

    @property
    def genotype(self) -> Genotype:
        """The selected architecture."""
        return load_genotype(self.folder / "genotype.json")


@dataclass(frozen=True)
class RetrainRun:
    """A finished retraining; its files are in `folder`."""

    folder: Path
    data: Path
    """Folder of the prepared data set."""

    @cached_property
    def result(self) -> dict[str, Any]:
        """`result.json`: test errors, complexity, settings, cost and provenance."""
        return _result(self.folder)

    @property
    def genotype(self) -> Genotype:
        """The architecture that was trained."""
        return load_genotype(json.dumps(self.result["genotype"]))

    def network(self) -> "torch.nn.Module":
        """The trained network in evaluation mode: images [B, 3, H, W] of values in [0, 255] to logits [B, classes]."""
        from parsec.export.onnx import load_trained

        return load_trained(self.folder, self.data).module


def _result(folder: Path) -> dict[str, Any]:
    from parsec.records.documents import read_results

    return read_results([folder / "result.json"])[0]


def search(
    dataset: Dataset,
    *,
    output: str | Path,
    space: str = "darts",
    method: str = "parsec",
    seed: int = 0,
    init_pi: str | Path | None = None,
    search: Section | None = None,
    prior: Section | None = None,
    compute: Section | None = None,
    running: Section | None = None,
) -> SearchRun:
    """Search an architecture; what is left out of the settings has its default.

    A call that was interrupted goes on when it is repeated; one that had finished returns its results. Progress goes to
    the logger `parsec`.

    Args:
        dataset: folder of a prepared data set, or of images in ImageNet's layout; a section of `datasets:` such as
            `{"source": "digits"}`; or the name of a registered data set. What is not prepared is prepared below `output`.
        output: a folder of results in the layout of the workflow, new or one of parsec; the search gets
            `search/<data set>/<method>/seed<seed>` in it.
        space: search space.
        method: search method.
        seed: of the search.
        init_pi: `pi.parquet` to start from; the stage is then `finetune`.
        search: the section `search` without its `dataset`, such as `{"epochs": 2, "network": {"cells": 3}}`.
        prior: the section `prior`, the form of π.
        compute: the section `compute`; `deterministic` holds for all of PyTorch from then on.
        running: the section `running`.

    Raises:
        UserError: a wrong setting, a folder that is not ours, a damaged data set, or an interrupted search.
    """
    from parsec.config.base import Running
    from parsec.config.job_parts import search_job
    from parsec.config.outputs import Search
    from parsec.search.run import search as run_search

    name, section, prepared = _dataset(dataset)
    document = {"space": space, "methods": [method], "seeds": [seed]}
    document |= {"search": {**(search or {}), "dataset": name}, "finetune": {} if init_pi else None}
    document |= {"prior": prior or {}, "compute": compute or {}, "running": running or {}}
    settings = _settings(document, name, section)
    results, stage = _results_folder(output), "finetune" if init_pi else "search"
    data = prepared or _prepare(settings, name, results)
    run = Search(stage, name, method, settings.seeds[0])
    start = Path(init_pi) if init_pi else None
    running_settings: Running = settings.running
    run_search(
        search_job(settings, stage, method),
        data,
        settings.seeds[0],
        results / run.folder,
        results / "state" / run.folder,
        start,
        running_settings,
        cache_outputs=True,
    )
    return SearchRun(results / run.folder)


def retrain(
    genotype: Genotype | SearchRun | str | Path,
    dataset: Dataset,
    *,
    output: str | Path,
    seed: int = 0,
    name: str | None = None,
    retrain: Section | None = None,
    compute: Section | None = None,
    running: Section | None = None,
) -> RetrainRun:
    """Train a genotype of the DARTS space from scratch and test it; the only function that reads the test images.

    Interrupted and finished calls go on as those of `search`.

    Args:
        genotype: a search, a genotype, the name of a published one, or a file with one.
        dataset: as in `search`.
        output: as in `search`; the training gets `retrain/<data set>/<stage>/<method>/seed<seed>/run<seed>` in it.
        seed: of this training, under `runs` in the settings.
        name: of a genotype that no search of `output` selected, in paths and tables; default: its published name, or
            that of its file.
        retrain: the section of a data set under `retrain`, such as `{"epochs": 1, "network": {"cells": 3}}`.
        compute: as in `search`.
        running: as in `search`.

    Raises:
        UserError: a wrong setting or genotype, a folder that is not ours, a damaged data set, or an interrupted training.
    """
    from parsec.config.job_parts import retrain_job
    from parsec.retrain.run import retrain as run_retrain

    dataset_name, section, prepared = _dataset(dataset)
    document = {"search": {"dataset": dataset_name}, "compute": compute or {}, "running": running or {}}
    document |= {"retrain": {dataset_name: {**(retrain or {}), "runs": [seed]}}}
    settings = _settings(document, dataset_name, section)
    text, origin, method, search_seed = _origin(genotype, name)
    results = _results_folder(output)
    data = prepared or _prepare(settings, dataset_name, results)
    run = _training(dataset_name, origin, method, search_seed, seed)
    run_retrain(
        retrain_job(settings, dataset_name),
        run,
        data,
        text,
        results / run.folder,
        results / "state" / run.folder,
        settings.running,
        cache_outputs=True,
    )
    return RetrainRun(results / run.folder, data)
