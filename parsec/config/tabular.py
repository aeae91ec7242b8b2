"""Settings of simulated searches and of importing tabular benchmarks."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from parsec.config.base import Config, Momentum, Name, Positive, Rate, UniqueTuple

Simulated = Literal["random", "evolution", "assisted_evolution", "reinforce"]


class Evolution(Config):
    """Regularised evolution; the numbers are those of NATS-Bench's baseline, which NASWOT compares with."""

    population: Positive = Field(10, description="architectures that live at a time")
    sample: Positive = Field(3, description="architectures sampled from the population; the best of them is mutated")


class AssistedEvolution(Evolution):
    """Regularised evolution whose first population scores choose (AREA)."""

    candidates: Positive = Field(20, description="scored architectures of which the best are the first population")


class Reinforce(Config):
    """Policy gradient over a product of categoricals."""

    rate: Rate = Field(0.01, description="learning rate of Adam on the logits; NATS-Bench's command has 0.01")
    momentum: Momentum = Field(0.9, description="of the moving average of accuracies that is the baseline")


class SimulateJob(Config):
    """Repeats of searches on a tabular benchmark, where a training is a look-up of its validation accuracy."""

    space: Literal["nasbench201", "nasbench101"] = Field(description="benchmark whose table is searched")
    dataset: Literal["cifar10", "cifar100", "in16"] = Field(
        "cifar10", description="whose validation accuracy the searches see; nasbench101 has only cifar10"
    )
    methods: Annotated[UniqueTuple[Simulated], Field(min_length=1)] = Field(
        get_args(Simulated), description="searches; `assisted_evolution` needs scores, `reinforce` a space of factors"
    )
    repeats: Positive = Field(500, description="of every method, as published")
    budget: Positive = Field(200, description="trainings of a repeat; an architecture trained twice counts twice")
    seconds: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="limit on the simulated seconds of a repeat, which ends before the training that would exceed it; "
        "needs a table with times",
    )
    evolution: Evolution = Evolution()
    assisted_evolution: AssistedEvolution = AssistedEvolution()
    reinforce: Reinforce = Reinforce()


class Simulation(Config):
    """Simulated searches, and the scores that assist them."""

    scores: Name | None = Field(None, description="name under `scores` of what assisted evolution begins with")
    search: SimulateJob


class ImportJob(Config):
    """Importing one benchmark."""

    benchmark: Literal["nasbench101", "nasbench201"] = Field(
        description="`nasbench101`: from nasbench_only108.tfrecord; `nasbench201`: from NATS-tss-v1_0-3ffb9-simple"
    )
