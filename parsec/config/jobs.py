"""The part of the settings that one job reads: passed to it as JSON, recorded with its results, fingerprinted."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from parsec.config.base import Compute, Config, Method, Name, Positive, Space, UniqueTuple
from parsec.config.datasets import Dataset
from parsec.config.retrain import RetrainStage
from parsec.config.search import RELAXED, Prior, RandomSearch, SearchStage, check_darts, check_space
from parsec.config.settings import Measure, Settings, base_method, settings_of
from parsec.config.training import Augmentation, Network

PLACES = {"cifar10": ("folder", "order"), "cifar100": ("folder", "order")}
"""By source: keys that say where images are found and not which, because their hashes are known."""
Places = Mapping[str, Mapping[str, Any]]
SearchStageName = Literal["search", "finetune", "transfer"]


class PrepareJob(Config):
    """Preparing one data set."""

    name: Name
    dataset: Dataset


class SearchJob(Config):
    """Learning π in one stage with one method."""

    stage: SearchStageName
    space: Space
    method: Method
    variant: Name | None = Field(None, description="name under `variants`; null: the method itself")
    prior: Prior
    settings: SearchStage
    compute: Compute

    @property
    def name(self) -> str:
        """Of the variant or the method; part of paths and tables."""
        return self.variant or self.method

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """See `settings.spaces`."""
        check_space(self.space, self.prior, self.compute.executor, {"settings.network": self.settings.network})
        return self

    @model_validator(mode="after")
    def check_form(self) -> Self:
        """A relaxed method has a distribution over all edges, and no other method can use one."""
        relaxed = self.method in RELAXED
        if relaxed != (self.prior.factors == "edges"):
            allowed = "edges" if relaxed else "separate or joint"
            raise ValueError(f"prior.factors: got {self.prior.factors!r}; allowed with {self.method}: {allowed}")
        return self


class RetrainJob(Config):
    """Training one genotype from scratch on one data set."""

    dataset: Name
    space: Space
    settings: RetrainStage = Field(description="as configured, without the keys that only plan jobs")
    compute: Compute

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """A tabular benchmark holds the accuracies of its space."""
        check_darts(self.space, "accuracies of the others are looked up: `python -m parsec lookup`")
        return self


class DepthsJob(Config):
    """Measuring the memory of methods in networks of several depths; the `cells` of the searches are replaced."""

    methods: tuple[SearchJob, ...]
    depths: UniqueTuple[Positive] = Field(min_length=1)


class MeasureJob(Config):
    """Measuring a search step: of its stage only what shapes a step, so that no schedule or optimiser re-measures."""

    stage: SearchStageName
    space: Space
    prior: Prior
    network: Network
    batch_size: Positive
    train_images: Positive | None
    augmentation: Augmentation
    measure: Measure
    compute: Compute

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """The contenders of the measurement are networks of that space."""
        check_darts(self.space, "the step is measured beside DARTS' supernet")
        return self


Job = PrepareJob | SearchJob | RetrainJob | MeasureJob


def prepare_job(settings: Settings, dataset: str) -> PrepareJob:
    """What `prepare` reads for one data set, whichever place its images come from."""
    return PrepareJob(name=dataset, dataset=_without_place(settings.datasets[dataset]))


def _without_place(dataset: Dataset) -> Dataset:
    given = {key: value for key, value in dict(dataset).items() if key not in PLACES.get(dataset.source, ())}
    return type(dataset)(**given)


def places(settings: Settings) -> Places:
    """Where data sets are found, by name; given to `prepare` beside its job, so that moving files re-runs nothing."""
    named = ((name, data, PLACES.get(data.source)) for name, data in settings.datasets.items())
    return {name: data.model_dump(mode="json", include=set(keys)) for name, data, keys in named if keys}


def placed(job: PrepareJob, found: Places) -> PrepareJob:
    """The job with what `places` says of its data set.

    Raises:
        pydantic.ValidationError: it says what the data set does not take.
    """
    data = {**job.dataset.model_dump(mode="json"), **found.get(job.name, {})}
    return PrepareJob.model_validate_json(json.dumps({"name": job.name, "dataset": data}))


def search_job(settings: Settings, stage: SearchStageName, name: str) -> SearchJob:
    """What a stage that learns π reads, for a method or a variant."""
    read, method = settings_of(settings, name), base_method(settings, name)
    return SearchJob(
        stage=stage,
        space=read.space,
        method=method,
        variant=name if name in settings.variants else None,
        prior=Prior(factors="edges") if method in RELAXED else read.prior,
        settings=getattr(read, stage),
        compute=read.compute,
    )


def retrain_job(settings: Settings, dataset: str) -> RetrainJob:
    """What retraining on one data set reads; keys that only plan jobs are blanked, so a new run re-runs no other."""
    stage = settings.retrain[dataset].model_copy(
        update={"origins": (), "published": (), "runs": (0,), "compare_with": None}
    )
    return RetrainJob(dataset=dataset, space=settings.space, settings=stage, compute=settings.compute)


def measure_job(settings: Settings, stage: SearchStageName) -> MeasureJob:
    """What the measurement of a search step reads."""
    measured: SearchStage = getattr(settings, stage)
    return MeasureJob(
        stage=stage,
        space=settings.space,
        prior=settings.prior,
        network=measured.network,
        batch_size=measured.batch_size,
        train_images=measured.train_images,
        augmentation=measured.augmentation,
        measure=settings.measure.model_copy(update={"depths": ()}),
        compute=settings.compute,
    )


def depths_job(settings: Settings) -> DepthsJob:
    """What the measurement of memory against depth reads: every method once, as it is without variants.

    What makes a search longer is blanked, so that it re-measures nothing; one batch of each half is enough.
    """
    names = dict.fromkeys(base_method(settings, name) for name in settings.methods)
    jobs = [search_job(settings, "search", name) for name in names]
    size = settings.search.batch_size
    same: dict[str, Any] = {"epochs": 3, "warmup_epochs": 0, "budget": None, "random": RandomSearch()}
    same |= {"train_images": size, "validation_images": size}
    blanked = [job.model_copy(update={"settings": job.settings.model_copy(update=same)}) for job in jobs]
    return DepthsJob(methods=tuple(blanked), depths=settings.measure.depths)


def as_json(job: Config) -> str:
    """Canonical JSON: keys sorted, no spaces, so that equal settings are equal text."""
    return json.dumps(job.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(job: Config) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(as_json(job).encode()).hexdigest()[:16]
