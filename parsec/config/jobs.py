"""The part of the settings that one job reads: passed to it as JSON, recorded with its results, fingerprinted."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from parsec.config.base import Compute, Config, Method, Name, Positive, Space, UniqueTuple
from parsec.config.datasets import Dataset
from parsec.config.retrain import RetrainStage
from parsec.config.search import RELAXED, Measure, Prior, SearchStage, check_darts, check_space
from parsec.config.training import Augmentation, Network

LOCATION_KEYS = {"cifar10": ("folder", "order"), "cifar100": ("folder", "order")}
"""By source: keys that decide where images are found and not which, because their hashes are known."""
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
        check_darts(self.space, "accuracies of the others are looked up: `parsec lookup`")
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


def with_image_source(job: PrepareJob, source: Mapping[str, Any]) -> PrepareJob:
    """The job with the `LOCATION_KEYS` of its data set replaced by those that are not None.

    Raises:
        pydantic.ValidationError: a key or value that the data set does not take.
    """
    changes = {key: value for key, value in source.items() if value is not None}
    data = {**job.dataset.model_dump(mode="json"), **changes}
    return PrepareJob.model_validate_json(json.dumps({"name": job.name, "dataset": data}))


def as_json(job: Config) -> str:
    """Canonical JSON: keys sorted, no spaces, so that equal settings are equal text."""
    return json.dumps(job.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(job: Config) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(as_json(job).encode()).hexdigest()[:16]
