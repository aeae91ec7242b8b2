"""One budget for all methods: as many epochs as fit into a number of images that pass forward through children."""

from dataclasses import replace

from parsec.config.search import SearchStage
from parsec.errors import SettingsError
from parsec.search.base import SearchTask
from parsec.search.methods import METHODS
from parsec.search.relative_cost import relative_cost
from parsec.search.relaxed import Relaxed


def within_budget(task: SearchTask) -> SearchTask:
    """The task with the epochs (of `random` the architectures) that its budget pays for.

    Without a budget it is as it was. An adaptive K is paid for as if it were at its bound.

    Raises:
        SettingsError: the budget does not pay for one epoch after the warm-up, or not for one architecture.
    """
    if task.job.settings.budget is None:
        return task
    return replace(task, job=task.job.model_copy(update={"settings": _fitted(task, task.job.settings.budget)}))


def _fitted(task: SearchTask, budget: int) -> SearchStage:
    settings = task.job.settings
    if task.job.method == "random":
        each = settings.random.epochs * _epoch(task) + len(task.validation)
        number = budget // each
        _check(task, number, each)
        return settings.model_copy(update={"random": settings.random.model_copy(update={"architectures": number})})
    warm, learning = (passes * _worth(task) * _epoch(task) for passes in METHODS[task.job.method].passes)
    before = settings.warmup_epochs * warm + _judging(task)
    number = int((budget - before) // learning)
    _check(task, number, before + learning)
    return settings.model_copy(update={"epochs": settings.warmup_epochs + number})


def _epoch(task: SearchTask) -> int:
    """Images that one pass of every step of an epoch takes."""
    size = task.job.settings.batch_size
    return len(task.train) // size * size


def _worth(task: SearchTask) -> float:
    """Children that a pass counts for: K of PARSEC."""
    settings, method = task.job.settings, METHODS[task.job.method]
    if task.job.method == "parsec":
        return settings.estimator.samples
    if not issubclass(method, Relaxed):
        return 1.0
    return relative_cost(
        task.prior.space, settings.network, task.classes, task.augment.image_size, samples_one_op=method.samples_one_op
    )


def _judging(task: SearchTask) -> int:
    """Images of the comparison after the last epoch."""
    settings = task.job.settings
    judged = {"random_shared": settings.random.candidates, "parsec": settings.estimator.best_of or 0}
    return judged.get(task.job.method, 0) * len(task.validation)


def _check(task: SearchTask, number: int, least: float) -> None:
    if number < 1:
        raise SettingsError(
            f"{task.job.stage}.budget: got {task.job.settings.budget}; {task.job.name} needs {int(least) + 1} or more"
        )
