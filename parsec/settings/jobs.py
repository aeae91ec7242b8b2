"""The part of the settings that one job reads: passed to it as JSON, recorded with its results, fingerprinted."""

import hashlib
import json
from typing import Literal

from pydantic import Field

from parsec.settings.base import Method, Name, Positive, Space, Strict
from parsec.settings.datasets import Dataset
from parsec.settings.retrain import RetrainStage
from parsec.settings.search import Prior, SearchStage
from parsec.settings.training import Augmentation, Network
from parsec.settings.tree import Compute, Measure, Settings

SearchStageName = Literal["search", "finetune", "transfer"]


class PrepareJob(Strict):
    """Preparing one data set."""

    name: Name
    dataset: Dataset


class SearchJob(Strict):
    """Learning π in one stage with one method."""

    stage: SearchStageName
    space: Space
    method: Method
    prior: Prior
    settings: SearchStage
    compute: Compute


class RetrainJob(Strict):
    """Training one genotype from scratch on one data set."""

    dataset: Name
    space: Space
    settings: RetrainStage = Field(description="as configured, without the keys that only plan jobs")
    compute: Compute


class MeasureJob(Strict):
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


Job = PrepareJob | SearchJob | RetrainJob | MeasureJob


def prepare_job(settings: Settings, dataset: str) -> PrepareJob:
    """What `prepare` reads for one data set."""
    return PrepareJob(name=dataset, dataset=settings.datasets[dataset])


def search_job(settings: Settings, stage: SearchStageName, method: Method) -> SearchJob:
    """What a stage that learns π reads."""
    return SearchJob(
        stage=stage,
        space=settings.space,
        method=method,
        prior=settings.prior,
        settings=getattr(settings, stage),
        compute=settings.compute,
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
        measure=settings.measure,
        compute=settings.compute,
    )


def as_json(job: Strict) -> str:
    """Canonical JSON: keys sorted, no spaces, so that equal settings are equal text."""
    return json.dumps(job.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(job: Strict) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(as_json(job).encode()).hexdigest()[:16]
