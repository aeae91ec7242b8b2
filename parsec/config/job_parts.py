"""The part of the complete settings that each job reads, and the file that hands it over.

`<results>/jobs/<rule>/<name>.yaml` is an input of its job: the job re-runs when the text of the file changes, and only
then. It holds what the command takes with `--settings`, and as comments the versions of what else decides the results.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from parsec.config.base import Config, SearchStageName
from parsec.config.datasets import LOCATION_KEYS, REGISTERED, PrepareJob, Registered
from parsec.config.load import load_job
from parsec.config.retrain import RetrainJob
from parsec.config.search import DepthsJob, MeasureJob, RandomSearch, SearchJob, Warmup
from parsec.config.settings import Settings
from parsec.config.zero_cost import SCORE_JOBS, AblationJob, AnyScoreJob, FitPiJob, KernelsJob
from parsec.space.spaces import SPACES

Section = TypeVar("Section", bound=Config)


def _present(section: Section | None) -> Section:
    """A section whose rule runs, so that the settings have it."""
    assert section is not None
    return section


def prepare_job(settings: Settings, dataset: str) -> PrepareJob:
    """Settings that `prepare` reads for one data set, wherever its images come from."""
    data = settings.datasets[dataset]
    which = {key: value for key, value in data if key not in LOCATION_KEYS.get(data.source, ())}
    return PrepareJob(name=dataset, dataset=type(data)(**which))


def image_source(settings: Settings, dataset: str) -> dict[str, Any]:
    """Location of images, by option of `prepare`; not in its job's file, so that moving them re-runs nothing."""
    data = settings.datasets[dataset]
    return data.model_dump(mode="json", include=set(LOCATION_KEYS.get(data.source, ())), exclude_none=True)


def with_image_source(job: PrepareJob, source: Mapping[str, Any]) -> PrepareJob:
    """The job with the location of its images: keys of its data set that are not None replace those of the job.

    Raises:
        SettingsError: a key or value that the data set does not take.
    """
    changes = {key: value for key, value in source.items() if value is not None}
    document = {"name": job.name, "dataset": {**job.dataset.model_dump(mode="json"), **changes}}
    return load_job(json.dumps(document), PrepareJob)


def search_job(settings: Settings, stage: SearchStageName, name: str) -> SearchJob:
    """Settings of a stage that trains π, for a method or a variant."""
    read, method = settings.for_method(name), settings.method_of(name)
    return SearchJob(
        stage=stage,
        space=read.space,
        method=method,
        variant=name if name in settings.variants else None,
        settings=read.stages[stage],
        compute=read.compute,
    )


def retrain_job(settings: Settings, dataset: str) -> RetrainJob:
    """Settings of retraining on one data set; keys that only plan jobs are blanked, so a new run re-runs no other."""
    stage = settings.retrain[dataset].model_copy(
        update={"origins": (), "published": (), "runs": (0,), "compare_with": None}
    )
    return RetrainJob(dataset=dataset, space=settings.space, settings=stage, compute=settings.compute)


def measure_job(settings: Settings, stage: SearchStageName) -> MeasureJob:
    """Settings of the measurement of a search step."""
    measured = settings.stages[stage]
    return MeasureJob(
        stage=stage,
        space=settings.space,
        network=measured.network,
        batch_size=measured.batch_size,
        train_images=measured.train_images,
        augmentation=measured.augmentation,
        measure=settings.measure.model_copy(update={"depths": ()}),
        compute=settings.compute,
    )


def depths_job(settings: Settings) -> DepthsJob:
    """Settings of the measurement of memory against depth: every method once, without its variants.

    Keys that only make a search longer are blanked, so that they re-measure nothing; one batch of each split is enough.
    """
    names = dict.fromkeys(settings.method_of(name) for name in settings.methods)
    jobs = [search_job(settings, "search", name) for name in names]
    size = settings.search.batch_size
    same: dict[str, Any] = {"epochs": 3, "warmup": Warmup(), "budget": None, "random": RandomSearch()}
    same |= {"train_images": size, "validation_images": size}
    blanked = [job.model_copy(update={"settings": job.settings.model_copy(update=same)}) for job in jobs]
    return DepthsJob(methods=tuple(blanked), depths=settings.measure.depths)


def score_job(settings: Settings, name: str) -> AnyScoreJob:
    """Settings of a scoring."""
    scores = settings.scores[name]
    # Every draw is a job of its own, which does not depend on how many there are.
    fields = {key: value for key, value in scores if key != "draws"}
    return SCORE_JOBS[scores.space](**fields, compute=settings.compute)


def fit_pi_job(settings: Settings) -> FitPiJob:
    """Settings of fitting π to scores."""
    fields = {key: value for key, value in _present(settings.scores_prior) if key != "scores"}
    return FitPiJob(**fields, space=settings.space)


MODULES = {
    "prepare_dataset": "parsec.data.prepare",
    "search": "parsec.search.run",
    "finetune": "parsec.search.run",
    "transfer": "parsec.search.run",
    "retrain": "parsec.retrain.run",
    "measure_executor": "parsec.bench.memory",
    "measure_depths": "parsec.bench.memory",
    "score": "parsec.zero_cost.score",
    "fit_pi": "parsec.zero_cost.fit_prior",
    "ablate": "parsec.zero_cost.ablation",
    "kernels": "parsec.zero_cost.kernel_matrices",
    "simulate": "parsec.tabular.simulate",
    "predictor": "parsec.predictor.search",
    "propose": "parsec.predictor.proposal",
}
"""The module that does the work of each rule with settings; with what it imports, it is the code of the rule."""


def job_of(settings: Settings, path: str) -> Config:
    """Settings that a job reads; `path` is its rule and, where a rule has several jobs, a name: `retrain/cifar10`."""
    rule, _, name = path.partition("/")
    match rule:
        case "prepare_dataset":
            return prepare_job(settings, name)
        case "search" | "finetune" | "transfer":
            return search_job(settings, rule, name)
        case "retrain":
            return retrain_job(settings, name)
        case "measure_executor":
            return measure_job(settings, name)  # type: ignore[arg-type]
        case "measure_depths":
            return depths_job(settings)
        case "score":
            return score_job(settings, name)
        case "fit_pi":
            return fit_pi_job(settings)
        case "ablate":
            return AblationJob(**dict(_present(settings.ablation)), compute=settings.compute)
        case "kernels":
            return KernelsJob(**dict(_present(settings.kernels)), compute=settings.compute)
        case "simulate":
            return settings.simulations[name].search
        case "predictor":
            return settings.predictors[name]
        case "propose":
            return _present(settings.proposal)
    raise ValueError(f"no rule {rule!r} reads settings; there are {', '.join(MODULES)}")


def job_text(job: Config, versions: Mapping[str, str]) -> str:
    """The text of a job's file. Keys are sorted, so that equal settings and versions are equal text."""
    versions = {**versions, **_plugin_versions(job)}
    header = "".join(f"# {name}: {version}\n" for name, version in versions.items())
    return header + yaml.safe_dump(job.model_dump(mode="json"), allow_unicode=True, width=120)


def _plugin_versions(job: Config) -> dict[str, str]:
    """Hashes of the sources of a space or data set that a plugin registers."""
    job = job.methods[0] if isinstance(job, DepthsJob) else job
    data, space = getattr(job, "dataset", None), getattr(job, "space", "")
    codes = {
        "space": SPACES.code(space) if space in SPACES else None,
        "function": REGISTERED.code(data.registered) if isinstance(data, Registered) else None,
    }
    return {name: code for name, code in codes.items() if code}


def recorded_versions(path: Path) -> dict[str, str]:
    """The versions in a job's file; empty where there is no such file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return dict(re.findall(r"^# (\w+): (.+)$", text, re.MULTILINE))
