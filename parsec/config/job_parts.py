"""The part of the complete settings that each job reads; a job re-runs when its part changes, and only then."""

from typing import Any

from parsec.config.datasets import Dataset
from parsec.config.jobs import PLACES, DepthsJob, MeasureJob, Places, PrepareJob, RetrainJob, SearchJob, SearchStageName
from parsec.config.predictor import AnyPredictorJob, ProposalJob
from parsec.config.search import RELAXED, Prior, RandomSearch, SearchStage
from parsec.config.settings import Settings
from parsec.config.tabular import SimulateJob
from parsec.config.zero_cost import SCORE_JOBS, AblationJob, AnyScoreJob, FitPiJob, KernelsJob


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


def search_job(settings: Settings, stage: SearchStageName, name: str) -> SearchJob:
    """What a stage that learns π reads, for a method or a variant."""
    read, method = settings.for_method(name), settings.method_of(name)
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
    names = dict.fromkeys(settings.method_of(name) for name in settings.methods)
    jobs = [search_job(settings, "search", name) for name in names]
    size = settings.search.batch_size
    same: dict[str, Any] = {"epochs": 3, "warmup_epochs": 0, "budget": None, "random": RandomSearch()}
    same |= {"train_images": size, "validation_images": size}
    blanked = [job.model_copy(update={"settings": job.settings.model_copy(update=same)}) for job in jobs]
    return DepthsJob(methods=tuple(blanked), depths=settings.measure.depths)


def score_job(settings: Settings, name: str) -> AnyScoreJob:
    """What a scoring reads."""
    scores = settings.scores[name]
    # Every draw is a job of its own, which does not depend on how many there are.
    given = {key: value for key, value in scores if key != "draws"}
    return SCORE_JOBS[scores.space](**given, compute=settings.compute)


def fit_pi_job(settings: Settings) -> FitPiJob:
    """What fitting π to scores reads."""
    assert settings.scores_prior is not None
    given = {key: value for key, value in settings.scores_prior if key != "scores"}
    return FitPiJob(**given, space=settings.space, prior=settings.prior)


def ablation_job(settings: Settings) -> AblationJob:
    """What the ablation of a score reads."""
    assert settings.ablation is not None
    return AblationJob(**dict(settings.ablation), compute=settings.compute)


def kernels_job(settings: Settings) -> KernelsJob:
    """What the kernels of a figure read."""
    assert settings.kernels is not None
    return KernelsJob(**dict(settings.kernels), compute=settings.compute)


def simulate_job(settings: Settings, name: str) -> SimulateJob:
    """What simulated searches read."""
    return settings.simulations[name].search


def predictor_job(settings: Settings, name: str) -> AnyPredictorJob:
    """What searches with a predictor read."""
    return settings.predictors[name]


def proposal_job(settings: Settings) -> ProposalJob:
    """What the study of proposals reads."""
    assert settings.proposal is not None
    return settings.proposal
