"""Settings of searches on tabular benchmarks: simulated ones, and those with a predictor, whose proposals too."""

from typing import Annotated, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from parsec.config.base import Config, Fraction, Momentum, Name, Positive, Rate, UniqueTuple

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

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.space == "nasbench101" and self.dataset != "cifar10":
            raise ValueError(f"dataset: got {self.dataset!r}; nasbench101 has only cifar10")
        return self


class Simulation(Config):
    """Simulated searches, and the scores that assist them."""

    scores: Name | None = Field(None, description="name under `scores` of what assisted evolution begins with")
    search: SimulateJob


class ImportJob(Config):
    """Importing one benchmark."""

    benchmark: Literal["nasbench101", "nasbench201"] = Field(
        description="`nasbench101`: from nasbench_only108.tfrecord; `nasbench201`: from NATS-tss-v1_0-3ffb9-simple"
    )


PoolKind = Literal["all", "uniform", "smart", "evolution", "prior"]
Acquisition = Literal["mean", "upper_bound", "thompson"]


class Pool(Config):
    """Which architectures the predictor scores in a round."""

    kind: PoolKind = Field(
        description="`all`: the whole space; `uniform`: a new random subset; `smart`: one and two edits of the best so"
        " far and a uniform share; `evolution`: generations of edits, selected by the predictor; `prior`: draws from"
        " the π that the first search of PARSEC found, on the same space"
    )
    size: Positive | None = Field(None, description="architectures scored in a round; null for the whole space")

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if (self.size is None) != (self.kind == "all"):
            raise ValueError(f"size: got {self.size}; allowed: null for the kind all, a number for the others")
        return self

    @property
    def name(self) -> str:
        """`all`, or kind and size."""
        return self.kind if self.size is None else f"{self.kind}-{self.size}"


class Predictor(Config):
    """The ensemble of graph convolution networks and how it is trained, again in every round."""

    members: Positive = Field(3, description="networks of an ensemble, which differ in their first weights")
    width: Positive = Field(16, description="outputs of a graph convolution")
    depth: Positive = Field(3, description="graph convolutions")
    steps: Positive = Field(100, description="steps of Adam on all trained architectures at once")
    learning_rate: Rate = Field(0.02, description="of Adam")
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.0, description="decoupled, as in AdamW")


class PredictorSearches(Config):
    """Searches with a predictor in the manner of Mauch et al. (arXiv 2011.12043), with every pool."""

    pools: UniqueTuple[Pool] = Field(min_length=1, description="the search is repeated with each of them")
    start: Positive = Field(20, description="architectures that are trained first, sampled at random")
    rounds: Positive = Field(13, description="of fitting the predictor, scoring the pool and training the best")
    per_round: Positive = Field(10, description="architectures trained in a round")
    acquisition: Acquisition = Field(
        "mean", description="`mean` of the members; `upper_bound`: mean plus one deviation; `thompson`: a member each"
    )
    predictor: Predictor = Predictor()
    repeats: Positive = Field(
        100, description="searches per pool; repeat i starts with the same architectures in all pools"
    )
    block: Positive = Field(10, description="repeats whose predictors are trained together")

    @property
    def budget(self) -> int:
        """Architectures that a search trains."""
        return self.start + self.rounds * self.per_round


class PredictorJob(PredictorSearches):
    """Searches on a tabular benchmark."""

    problem: Literal["nasbench201", "nasbench101"] = Field(description="benchmark whose table is searched")
    data: Literal["cifar10", "cifar100", "in16"] = Field(
        "cifar10", description="data set whose validation accuracy the search sees; nasbench101 has only cifar10"
    )

    @property
    def target(self) -> str:
        """Data set whose validation accuracy the searches see."""
        return self.data

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.problem == "nasbench101" and self.data != "cifar10":
            raise ValueError(f"data: got {self.data!r}; allowed: cifar10 with the problem nasbench101")
        return self


class DartsPredictorJob(PredictorSearches):
    """Searches on the DARTS space, which has no table: a zero-cost score replaces accuracy."""

    problem: Literal["darts"] = Field(description="chooses this space")
    scores: Name = Field(
        description="name under `scores`, of this space: the score that the searches see, computed for every "
        "architecture that they ask for; the scored sample stands for the space where random search is counted"
    )

    @property
    def target(self) -> str:
        """Score that the searches see."""
        return self.scores

    @model_validator(mode="after")
    def _not_whole(self) -> Self:
        if any(pool.kind == "all" for pool in self.pools):
            raise ValueError("pools: got the kind all; allowed with the problem darts: the others, it is too large")
        return self


AnyPredictorJob = PredictorJob | DartsPredictorJob
PREDICTOR_JOBS: dict[str, type[PredictorJob] | type[DartsPredictorJob]] = {
    "nasbench201": PredictorJob,
    "nasbench101": PredictorJob,
    "darts": DartsPredictorJob,
}
Predictors = Annotated[AnyPredictorJob, Field(discriminator="problem")]


class PredictedProblem(Config):
    """Of the settings of a search with a predictor the key that says which job it is."""

    model_config = ConfigDict(extra="ignore")

    problem: Literal["nasbench201", "nasbench101", "darts"]


Strength = Annotated[float, Field(ge=0.0, le=10.0)]


class ProposalJob(Config):
    """Architectures of NAS-Bench-201 sampled from q(α) ∝ π(α) exp(β · log-likelihood expected by a predictor)."""

    data: Literal["cifar10", "cifar100", "in16"] = Field(
        "cifar10", description="data set whose validation accuracy stands for the likelihood"
    )
    moments: UniqueTuple[Fraction] = Field(
        (0.0, 0.5, 1.0), description="shares of a search's epochs after which its π is studied", min_length=1
    )
    trained: UniqueTuple[Annotated[Positive, Field(le=15_625)]] = Field(
        (20, 50, 100), description="distinct architectures sampled from π that the predictor is fitted to", min_length=1
    )
    betas: UniqueTuple[Strength] = Field(
        (0.0, 0.25, 0.5, 1.0, 2.0), description="β; 0 is π itself, 1 the best for a perfect predictor", min_length=1
    )
    defences: UniqueTuple[Annotated[float, Field(ge=0.0, lt=1.0)]] = Field(
        (0.0, 0.2),
        description="shares of the architectures that are sampled from π so that no weight exceeds 1/share "
        "times its likelihood, however wrong the predictor is",
        min_length=1,
    )
    samples: UniqueTuple[Annotated[Positive, Field(ge=2)]] = Field(
        (4, 16), description="K, sampled architectures per step", min_length=1
    )
    images: UniqueTuple[Positive] = Field(
        (1, 8, 64),
        description="images whose likelihoods are multiplied: 1 is the mean over a minibatch (`likelihood: mean`), the "
        "size of the minibatch its product (`likelihood: sum`)",
        min_length=1,
    )
    predictor: Predictor = Predictor()
    repeats: Positive = Field(
        100, description="repeats per study, each with its own predictor and sampled architectures"
    )
    block: Positive = Field(10, description="repeats whose predictors are trained together")

    @model_validator(mode="after")
    def check_betas(self) -> Self:
        """Check that β = 0 is among the values: gains are relative to π."""
        if 0.0 not in self.betas:
            raise ValueError(f"betas: got {list(self.betas)}; allowed: a list with 0, which is π")
        return self
