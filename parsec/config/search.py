"""Settings of the stages that learn π, and of the methods that PARSEC is compared with."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from parsec.config.base import (
    RELAXED,
    Compute,
    Config,
    Method,
    Momentum,
    Name,
    Positive,
    Rate,
    SearchStageName,
    Space,
    UniqueTuple,
    check_batches,
    check_darts,
    form_of,
)
from parsec.config.training import Augmentation, Network, Optimizer
from parsec.space.factors import Form
from parsec.space.spaces import SPACES

Temperature = Annotated[float, Field(gt=0.0, le=1000.0)]


class Relaxation(Config):
    """DARTS, SNAS and GDAS: Adam on the logits of all edges, and the temperatures of the two that sample."""

    learning_rate: Rate = Field(3e-4, description="of Adam (DARTS)")
    betas: tuple[Momentum, Momentum] = Field((0.5, 0.999), description="Adam's averaging factors (DARTS)")
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = Field(1e-3, description="L2 penalty on the logits (DARTS)")
    initial_deviation: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        1e-3, description="standard deviation of the first logits, if they start uniform (code of DARTS)"
    )
    snas_temperature: tuple[Temperature, Temperature] = Field(
        (1.0, 0.03), description="first and last temperature of SNAS, which falls by equal steps (code of SNAS)"
    )
    gdas_temperature: tuple[Temperature, Temperature] = Field(
        (10.0, 0.1), description="first and last temperature of GDAS, which falls by equal steps (code of GDAS)"
    )
    resource: Literal["none", "mild", "moderate", "aggressive"] = Field(
        "none", description="SNAS' penalty on the expected multiply-adds of the cells' edges; the factors are ours"
    )


class RandomSearch(Config):
    """Random search: with shared weights (`random_ws`), or each trained alone in the search network (`random`)."""

    candidates: Positive = Field(
        1000, description="`random_ws`: architectures judged with shared weights after training (its code, one round)"
    )
    minibatches: Positive = Field(
        10, description="`random_ws`: validation batches that judge a candidate (its code); at most the whole split"
    )
    finalists: Positive = Field(
        10, description="`random_ws`: candidates that are then compared on the whole validation split (its code)"
    )
    architectures: Positive = Field(
        24, description="`random`: architectures that are trained alone, in the search network (number: DARTS)"
    )
    epochs: Positive = Field(
        100, description="`random`: epochs per architecture (DARTS), instead of the epochs of the stage"
    )
    ranked: bool = Field(
        False,
        description="`random`: trains the architectures of `ranking` instead of new draws, as the truth that shared "
        "weights are compared with where no table has it; no budget applies",
    )


class PriorOptimizer(Config):
    """Adam on the logits of π."""

    learning_rate: Rate = Field(3e-3, description="learning rate; not given by the paper")
    betas: tuple[Momentum, Momentum] = Field((0.5, 0.999), description="Adam's averaging factors (DARTS)")


class Estimator(Config):
    """The importance-weighted Monte Carlo estimator (PARSEC, section 2; FP-NAS, equation 7)."""

    samples: Annotated[Positive, Field(ge=2)] = Field(16, description="K, sampled architectures per step")
    likelihood: Literal["sum", "mean"] = Field(
        "sum", description="`sum`: p(y|X) of the whole minibatch, as written (T = 1); `mean`: tempered by T = B"
    )
    baseline: Literal["none", "uniform"] = Field(
        "uniform",
        description="`uniform` subtracts 1/K from the weights of the π-step: same expectation, less noise, and no "
        "drift of π while the weights are equal; `none`: as the paper writes it",
    )
    draws: Literal["independent", "stratified"] = Field(
        "independent",
        description="`stratified`: for every choice the K architectures take one stratum of [0, 1) each, in random "
        "order; each is still an exact sample of π, and together they cover it more evenly",
    )
    cost_weight: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="β, strength of the penalty on large architectures"
    )
    cost_target: Annotated[float, Field(gt=0.0)] = Field(
        600e6, description="multiply-adds above which an architecture is penalized, in the network of the stage"
    )


class Warmup(Config):
    """First epochs, in which only v is trained, so that shared weights rank architectures before π moves."""

    epochs: Annotated[int, Field(ge=0)] = Field(0, description="first epochs in which only v is trained")
    samples: Positive | None = Field(
        None,
        description="`parsec`: K of these epochs; with 1 every sampled architecture trains v alone; null: as after",
    )
    weightless_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description="`parsec`: probability of operations without weights (none, skip, pooling) together, wherever one "
        "is chosen, in these epochs: less than under π trains convolutions more often; null: sampled from π",
    )


class Ranking(Config):
    """How well shared weights rank architectures: a fixed sample of the uniform π, evaluated after the search.

    The same architectures in every search of a space. No number of the search depends on it, and it costs no budget.
    """

    architectures: Annotated[Positive, Field(ge=2)] = Field(100, description="architectures of the sample")
    images: Positive = Field(256, description="validation images that each is evaluated on, in whole batches")


class SearchOptimizer(Optimizer):
    """Stochastic gradient descent for the shared weights v; ends above zero, as the DARTS search code does."""

    final_learning_rate: Annotated[float, Field(ge=0.0)] = Field(0.001, description="`cosine`: rate it ends at")


class SearchStage(Config):
    """One stage that learns π with shared weights."""

    dataset: Name = Field(description="name of a data set under `datasets`")
    init_from: Literal["uniform", "search", "finetune", "scores"] = Field(
        "uniform",
        description="the initial π: uniform, the π learnt by an earlier stage, or the π of `scores_prior`; without the "
        "key, `finetune` starts from `search`, and `transfer` from the stage before it",
    )
    network: Network = Network()
    epochs: Positive = Field(
        100, description="passes over the training split; not given by the paper: what its stated cost affords"
    )
    budget: Positive | None = Field(
        None,
        description="architectures × images: forward passes of images through architectures, equal for all methods; "
        "sets the number of epochs (for `random`, of architectures); null: the number under `epochs`",
    )
    device_days: Annotated[float, Field(gt=0.0)] | None = Field(
        None,
        description="GPU-days (without a GPU, days of its processes) of training after which the stage ends with the "
        "epoch that it is in (`random`: not before one architecture was evaluated); the schedules are cut, and equal "
        "runs may end differently; null: no limit",
    )
    warmup: Warmup = Warmup()
    batch_size: Annotated[Positive, Field(ge=2)] = Field(
        64, description="B, images of a training and a validation batch"
    )
    train_images: Positive | None = Field(None, description="number of images used of the training split; null: all")
    validation_images: Positive | None = Field(None, description="the same for the validation split")
    estimator: Estimator = Estimator()
    weights: SearchOptimizer = SearchOptimizer()
    prior: PriorOptimizer = PriorOptimizer()
    relaxation: Relaxation = Relaxation()
    random: RandomSearch = RandomSearch()
    ranking: Ranking = Ranking()
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def check_counts(self) -> Self:
        """Without an epoch after the warm-up π would stay where it started; without a batch, v too."""
        warmup = self.warmup.epochs
        if self.budget is None and warmup >= self.epochs:
            raise ValueError(f"warmup.epochs: got {warmup}; allowed: less than epochs ({self.epochs})")
        check_batches(self.batch_size, train_images=self.train_images, validation_images=self.validation_images)
        return self


def check_space(space: Space, executor: str, networks: Mapping[str, Network]) -> None:
    """Refuse an executor, or networks (by the path of their key), that a space does not know.

    Raises:
        ValueError: naming the key, what was given and what is allowed.
    """
    known = SPACES[space]
    if executor not in known.executors:
        raise ValueError(f"compute.executor: got {executor}; allowed on {space}: {' or '.join(known.executors)}")
    least, why = known.least_cells
    for path, network in networks.items():
        if network.cells < least:
            raise ValueError(f"{path}.cells: got {network.cells}; allowed on {space}: {least} or more ({why})")
        if network.stem not in known.stems:
            raise ValueError(f"{path}.stem: got {network.stem}; allowed on {space}: {' or '.join(known.stems)}")


def check_relaxed(space: Space, methods: Iterable[str]) -> None:
    """Refuse methods that mix operations on a space whose networks do not.

    Raises:
        ValueError: naming the first such method.
    """
    if "edges" in SPACES[space].forms:
        return
    for method in methods:
        if method in RELAXED:
            others = " or ".join(name for name in get_args(Method) if name not in RELAXED)
            raise ValueError(f"methods: got {method}; allowed on {space}, which has no mixed operations: {others}")


class Measure(Config):
    """Measurements of memory and time, for figures; none unless asked for."""

    samples: UniqueTuple[Positive] = Field((), description="values of K whose step is measured; []: left out")
    repeats: Positive = Field(5, description="timed steps per K; the median is shown")
    depths: UniqueTuple[Positive] = Field(
        (), description="`cells` of the networks on which the memory of every method is measured; []: left out"
    )


class SearchJob(Config):
    """Learning π in one stage with one method."""

    stage: SearchStageName
    space: Space
    method: Method
    variant: Name | None = Field(None, description="name under `variants`; null: the method itself")
    settings: SearchStage
    compute: Compute

    @property
    def name(self) -> str:
        """Of the variant or the method; part of paths and tables."""
        return self.variant or self.method

    @property
    def form(self) -> Form:
        """Of the method's π."""
        return form_of(self.method)

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """See `check_space` and `check_relaxed`."""
        check_relaxed(self.space, [self.method])
        check_space(self.space, self.compute.executor, {"settings.network": self.settings.network})
        return self


class DepthsJob(Config):
    """Measuring the memory of methods in networks of several depths; the `cells` of the searches are replaced."""

    methods: tuple[SearchJob, ...]
    depths: UniqueTuple[Positive] = Field(min_length=1)


class MeasureJob(Config):
    """Measuring a search step: only the settings that shape a step, so that no schedule or optimizer re-measures."""

    stage: SearchStageName
    space: Space
    network: Network
    batch_size: Positive
    train_images: Positive | None
    augmentation: Augmentation
    measure: Measure
    compute: Compute

    @model_validator(mode="after")
    def check_measured(self) -> Self:
        """The contenders of the measurement are networks of one space, with at least one value of K."""
        check_darts(self.space, "the step is measured beside DARTS' supernet")
        if not self.measure.samples:
            raise ValueError("measure.samples: got []; write the values of K to measure, such as [1, 4, 16]")
        return self
