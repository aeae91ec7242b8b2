"""Equal search budget, in forward-passed images × architectures, and the cost of one pass of a mixed-op network."""

from dataclasses import replace
from statistics import fmean

from parsec.config.search import SearchStage
from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network.spaces import child_cost, multiply_adds
from parsec.prior.distribution import Prior
from parsec.runtime.rng import generator
from parsec.search.base import SearchTask, SearchTrainer
from parsec.space.spaces import Architecture, SearchSpace

SAMPLES = 256
"""Architectures of the uniform distribution whose mean cost is one; always the same ones."""
FREE = ("none", "max_pool_3x3")
"""Operations without multiply-adds, of which a space with mixed operations has one."""


def within_budget(task: SearchTask, method: type[SearchTrainer]) -> SearchTask:
    """The task with the epochs (for `random`, the number of architectures) that its budget pays for.

    Unchanged without a budget.

    Raises:
        SettingsError: the budget does not pay for one epoch after the warm-up, or for one architecture.
    """
    if task.job.settings.budget is None:
        return task
    settings = _fitted(task, method, task.job.settings.budget)
    return replace(task, job=task.job.model_copy(update={"settings": settings}))


def _fitted(task: SearchTask, method: type[SearchTrainer], budget: int) -> SearchStage:
    settings = task.job.settings
    # Images that one pass of each step of an epoch takes: whole batches only.
    epoch_images = len(task.train) // settings.batch_size * settings.batch_size
    if task.job.method == "random" and settings.random.ranked:
        return settings
    if task.job.method == "random":
        # Every architecture is trained by itself and then evaluated once on the validation split.
        per_architecture = settings.random.epochs * epoch_images + len(task.validation)
        architectures = budget // per_architecture
        _check(task, architectures, per_architecture)
        random = settings.random.model_copy(update={"architectures": architectures})
        return settings.model_copy(update={"random": random})
    warmup, learning = (cost * epoch_images for cost in method.cost_per_step(task))
    fixed = settings.warmup.epochs * warmup + method.selection_images(task)
    epochs = int((budget - fixed) // learning)
    _check(task, epochs, fixed + learning)
    return settings.model_copy(update={"epochs": settings.warmup.epochs + epochs})


def _check(task: SearchTask, count: int, least: float) -> None:
    if count < 1:
        raise SettingsError(
            f"{task.job.stage}.budget: got {task.job.settings.budget}; {task.job.name} needs {int(least) + 1} or more"
        )


def relative_cost(space: SearchSpace, network: Network, classes: int, image_size: int, samples_one_op: bool) -> float:
    """Cost of one mixed-op forward pass relative to one sampled architecture, in multiply-adds.

    Args:
        space: the search space.
        network: size of the network.
        classes: labels of the data set.
        image_size: side of an image, pixels.
        samples_one_op: each edge runs one operation, all equally likely (GDAS), rather than all (DARTS, SNAS).

    Raises:
        SettingsError: a space without an operation that costs nothing.
    """

    def cost(architecture: Architecture) -> int:
        return child_cost(architecture, network, classes, image_size).multiply_adds

    # Multiply-adds of the edges of the mixed-op network …
    edges = multiply_adds(space, network, image_size)
    mixed = edges.mean(-1).sum() if samples_one_op else edges.sum()
    # … plus those of everything else: the cost of an architecture whose edges cost nothing.
    free = next((space.primitives.index(name) for name in FREE if name in space.primitives), None)
    if free is None:
        raise SettingsError(f"space {space.name}: its relaxed methods need an operation {' or '.join(FREE)}")
    choices = [free if factor.kind == "operation" else 0 for factor in space.factors("separate")]
    rest = cost(space.decode(choices, "separate"))
    # The unit is the mean cost of architectures sampled from the uniform distribution.
    uniform = Prior(space=space)
    sampled = uniform.children(uniform.sample(SAMPLES, generator(0, "worth of a child"))).genotypes
    return (rest + float(mixed)) / fmean(map(cost, sampled))
