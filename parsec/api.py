"""The package in Python: π and genotypes as objects, stages as functions, spaces and data sets of one's own.

Files, folders and settings are those of the command line and of the workflow, and so are the errors: each mistake is a
`parsec.errors.UserError` of one line. What needs PyTorch imports it when it is called.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from parsec.config.base import PUBLISHED, Retrain, Search, fingerprint
from parsec.config.datasets import REGISTERED
from parsec.config.job_parts import image_source, prepare_job, retrain_job, search_job, with_image_source
from parsec.config.load import load, load_job
from parsec.config.search import check_space
from parsec.config.settings import Settings
from parsec.config.training import Network
from parsec.errors import SettingsError, UserError
from parsec.plugins import source_hash
from parsec.records.documents import read_results
from parsec.runtime.outputs import check_folder, mark_folder
from parsec.space.published import PUBLISHED as KNOWN
from parsec.space.published import read_architecture
from parsec.space.spaces import SPACES

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from parsec.network.layers import Cost
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

        Arguments and errors are those of `build`; multiply-adds depend on `image_size`.
        """
        from parsec.network.spaces import child_cost

        network = _network(self.space, cells, channels, stem)
        return child_cost(self.architecture, network, classes, _side(stem, image_size))


def _network(space: str, cells: int, channels: int, stem: Stem) -> Network:
    """Size of a network, checked as in settings."""
    network = load_job(json.dumps({"stem": stem, "cells": cells, "channels": channels}), Network)
    try:
        check_space(space, "auto", {"network": network})
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

        indices = self.distribution.sample(n, generator(seed, "samples of load_prior"))
        decode, form = self.distribution.space.decode, self.distribution.form
        return [Genotype(decode(row, form)) for row in indices.tolist()]

    def mode(self) -> Genotype:
        """The most probable architecture; of a relaxed method the one that its space derives.

        On the DARTS space that is by DARTS' rule, while a search with GDAS ends with the one of its own rule.
        """
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
        indices = self.distribution.space.encode(genotype.architecture, self.distribution.form)
        with torch.no_grad():
            return float(self.distribution.log_prob(torch.tensor([indices])))


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
    """A published genotype by name, such as `DARTS_V2`, or one read from a file or from text.

    Files hold a `genotype.json` or the printed `Genotype(normal=[...], ...)`.

    Raises:
        GenotypeError: none of these, or no architecture of its space.
    """
    return Genotype(read_architecture(str(path_or_name)))


@dataclass(frozen=True)
class SearchRun:
    """A finished search; its files are in `folder`."""

    folder: Path

    @cached_property
    def result(self) -> dict[str, Any]:
        """`result.json`: settings, accuracy with shared weights, complexity, cost and provenance."""
        return read_results([self.folder / "result.json"])[0]

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
        return read_results([self.folder / "result.json"])[0]

    @property
    def genotype(self) -> Genotype:
        """The architecture that was trained."""
        return load_genotype(json.dumps(self.result["genotype"]))

    def network(self) -> "torch.nn.Module":
        """The trained network in evaluation mode: images [B, 3, H, W] of values in [0, 255] to logits [B, classes]."""
        from parsec.export.onnx import load_trained

        return load_trained(self.folder, self.data).module


def search(
    dataset: Dataset,
    *,
    output: str | Path,
    space: str = "darts",
    method: str = "parsec",
    seed: int = 0,
    init_pi: str | Path | None = None,
    search: Section | None = None,
    compute: Section | None = None,
    running: Section | None = None,
) -> SearchRun:
    """Search an architecture; what is left out of the settings has its default.

    A call that was interrupted goes on when it is repeated; one that had finished returns its results. Progress goes to
    the logger `parsec`.

    Args:
        dataset: folder of a prepared data set, or of images in ImageNet's layout; a section of `datasets:` such as
            `{"source": "digits"}`; or the name of a registered data set. What is not prepared is prepared in `output`.
        output: a folder of results in the layout of the workflow, new or one of parsec; the search gets
            `search/<data set>/<method>/seed<seed>` in it.
        space: search space.
        method: search method.
        seed: of the search.
        init_pi: `pi.parquet` to start from; the stage is then `finetune`.
        search: the section `search` without its `dataset`, such as `{"epochs": 2, "network": {"cells": 3}}`.
        compute: the section `compute`; `deterministic` holds for all of PyTorch from then on.
        running: the section `running`.

    Raises:
        UserError: a wrong setting, a folder that is not ours, a damaged data set, or an interrupted search.
    """
    from parsec.search.run import search as run_search

    name, section, prepared = _dataset(dataset)
    document: dict[str, Any] = {"space": space, "methods": [method], "seeds": [seed]}
    document |= {"search": {**(search or {}), "dataset": name}, "finetune": {} if init_pi else None}
    document |= {"compute": compute or {}, "running": running or {}}
    settings = load({**document, "datasets": {name: dict(section)}})
    results, start = _results_folder(output), Path(init_pi) if init_pi else None
    data = prepared or _prepare(settings, name, results)
    stage: Literal["search", "finetune"] = "finetune" if start else "search"
    run = Search(stage, name, method, seed)
    state = results / "state" / run.folder
    job = search_job(settings, stage, method)
    run_search(job, data, seed, results / run.folder, state, start, settings.running, cache_outputs=True)
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
        genotype: a search, a genotype, the name of a published one, a file with one, or its text.
        dataset: as in `search`.
        output: as in `search`; the training gets `retrain/<data set>/<stage>/<method>/seed<seed>/run<seed>` in it.
        seed: of this training, under `runs` in the settings.
        name: of a genotype that no search of `output` selected, in paths and tables; default: its published name, or
            that of its file.
        retrain: the section of a data set under `retrain`, such as `{"epochs": 1, "network": {"cells": 3}}`.
        compute: as in `search`.
        running: as in `search`.

    Raises:
        UserError: a wrong setting or genotype, a folder that is not ours, a damaged data set, or an interruption.
    """
    from parsec.retrain.run import retrain as run_retrain

    dataset_name, section, prepared = _dataset(dataset)
    document: dict[str, Any] = {"search": {"dataset": dataset_name}, "compute": compute or {}, "running": running or {}}
    document |= {"retrain": {dataset_name: {**(retrain or {}), "runs": [seed]}}}
    settings = load({**document, "datasets": {dataset_name: dict(section)}})
    text, origin, method, search_seed = _origin(genotype, name)
    run = Retrain(dataset_name, origin, method, search_seed, seed)
    results = _results_folder(output)
    data = prepared or _prepare(settings, dataset_name, results)
    state = results / "state" / run.folder
    job = retrain_job(settings, dataset_name)
    run_retrain(job, run, data, text, results / run.folder, state, settings.running, cache_outputs=True)
    return RetrainRun(results / run.folder, data)


def _dataset(dataset: Dataset) -> tuple[str, Section, Path | None]:
    """Name of a data set, its section of the settings, and its folder if it is prepared."""
    from parsec.data.dataset import read_info

    if isinstance(dataset, Mapping):
        folder = str(dataset.get("folder", "")) if dataset.get("source") == "image_folder" else ""
        name = dataset.get("registered") or Path(folder).name or dataset.get("source", "data")
        return _as_name(str(name)), dataset, None
    folder_path = Path(dataset).expanduser()
    if (folder_path / "dataset.json").is_file():
        # A data set that is prepared needs no source; the settings want a section in its place.
        return read_info(folder_path).name, {"source": "digits"}, folder_path
    if folder_path.is_dir():
        return _as_name(folder_path.resolve().name), {"source": "image_folder", "folder": str(folder_path)}, None
    if isinstance(dataset, str) and dataset in REGISTERED:
        return dataset, {"source": "registered", "registered": dataset}, None
    raise UserError(
        f"{dataset}: neither a folder of images or of a prepared data set nor a registered data set; give one, or a "
        'section such as {"source": "digits"}'
    )


def _as_name(text: str) -> str:
    """A text as a name in settings and paths."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:64] or "data"


def _results_folder(output: str | Path) -> Path:
    """A folder of results, checked and marked as the workflow does it."""
    results = Path(output).expanduser()
    check_folder(results, "results")
    mark_folder(results, "results")
    return results


def _prepare(settings: Settings, name: str, results: Path) -> Path:
    """Folder of the data set `name` below `results`, prepared unless it is there with the same settings."""
    from parsec.data.prepare import SOURCE, prepare

    job = with_image_source(prepare_job(settings, name), image_source(settings, name))
    folder = results / "data" / name
    source = folder / SOURCE
    complete = (folder / "dataset.json").is_file() and source.is_file()
    if not (complete and json.loads(source.read_text(encoding="utf-8")).get("fingerprint") == fingerprint(job)):
        prepare(job, folder)
    return folder


def _origin(genotype: Genotype | SearchRun | str | Path, name: str | None) -> tuple[str, str, str, int]:
    """A genotype as `parsec retrain` takes it, and its origin, method and seed in paths and tables."""
    if isinstance(genotype, SearchRun):
        result = genotype.result
        return str(genotype.folder / "genotype.json"), result["stage"], name or result["method"], result["seed"]
    if isinstance(genotype, Genotype):
        return json.dumps(genotype.as_dict()), PUBLISHED, name or "genotype", 0
    text = str(genotype)
    # `Path.is_file` raises an error for the text of a genotype, which is too long for a name.
    is_file = os.path.isfile(text)  # noqa: PTH113
    default = text if text in KNOWN else Path(text).stem if is_file else "genotype"
    return text, PUBLISHED, name or _as_name(default), 0


def register_space(name: str, space: "SearchSpace", network: "SpaceNetworks") -> None:
    """Make a search space known: to `search`, to settings, and to all that reads π and genotypes.

    In a module that is the entry point of a plugin (`parsec.plugins`), it is known to the command line and to the jobs
    of the workflow, too.

    Args:
        name: of the space.
        space: what search and files know of it, see `parsec.space.spaces.SearchSpace`; `edge_space` makes one.
        network: its networks, an object of a subclass of `parsec.network.spaces.SpaceNetworks`.

    Raises:
        UserError: a name that is built in or cannot be part of a path, or a space whose parts do not fit together.
    """
    from parsec.network.spaces import NETWORKS, SpaceNetworks

    if not isinstance(network, SpaceNetworks):
        raise UserError(f"space {name!r}: `network` is {network!r}; give an object of a subclass of SpaceNetworks")
    _check_space(name, space)
    # A search depends on the source of the networks; that of `space` shows in its choices, or is beside it.
    code = source_hash(network)
    SPACES.register(name, space, code)
    NETWORKS.register(name, network, code)


def _check_space(name: str, space: "SearchSpace") -> None:
    """Try what π and the files of a search do with a space, on its first and its last architecture."""
    if space.name != name:
        raise UserError(f"space {name!r}: its `name` is {space.name!r}; give both the same")
    factors = space.factors("separate")
    if math.prod(space.shape) != len(factors):
        raise UserError(f"space {name!r}: its shape {space.shape} does not hold its {len(factors)} separate factors")
    for indices in ([0] * len(factors), [len(factor.choices) - 1 for factor in factors]):
        architecture = space.decode(indices, "separate")
        if list(space.encode(architecture, "separate")) != indices:
            raise UserError(f"space {name!r}: `encode` is not the inverse of `decode` for {indices}")
        document = architecture.as_dict()
        if document.get("space") != name or space.from_dict(json.loads(json.dumps(document))) != architecture:
            raise UserError(f"space {name!r}: `from_dict` does not read what `as_dict` of {indices} gives: {document}")


def register_dataset(name: str, open_function: Callable[[], Any]) -> None:
    """Make a data set known by its name: to `search` and `retrain`, and in settings as `{source: registered, ...}`.

    Args:
        name: of the data set.
        open_function: returns training images, their labels, test images and their labels: images uint8
            [N, side, side, 3], labels whole numbers [N] from 0, as arrays or tensors. Or a
            `parsec.data.sources.base.Source`. It is called once, when the data set is prepared; the split into training
            and validation images is made from its training images.

    Raises:
        UserError: a name that cannot be part of a path.
    """
    REGISTERED.register(name, open_function, source_hash(open_function))
