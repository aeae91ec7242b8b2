"""Settings of zero-cost scores, their ablation, their kernel matrices, and of a π fitted to them."""

from itertools import pairwise
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from parsec.config.base import Compute, Config, Name, Positive, Space
from parsec.config.training import Augmentation, Stack

Initialisation = Literal["default", "normal", "uniform", "orthogonal", "identity"]


class ScoreAugmentation(Augmentation):
    """Random changes of the images that are scored; none, as the ICML paper. The first version crops and flips."""

    crop: Literal["none", "pad", "resized"] = Field(
        "none", description="`pad`: shift within a zero border; `resized`: random area and aspect ratio"
    )
    flip: bool = Field(False, description="mirror half of the images")


class Score(Config):
    """A score of NASWOT: its kind, and the minibatch and the weights that it is taken from."""

    kind: Literal["relu_log_determinant", "jacobian_eigenvalues"] = Field(
        "relu_log_determinant",
        description="`relu_log_determinant`: that of the ICML paper; `jacobian_eigenvalues`: that of the first version",
    )
    mode: Literal["train", "eval"] = Field(
        "train", description="batch norm: statistics of the minibatch, or the initial ones (first version's tables)"
    )
    batch_size: Annotated[Positive, Field(ge=2)] = Field(
        128, description="images; the ICML paper has 128, the first version 256"
    )
    images: Literal["training", "noise"] = Field(
        "training", description="`training`: of the data set; `noise`: standard normal values in their place"
    )
    augmentation: ScoreAugmentation = ScoreAugmentation()
    initialisation: Initialisation = Field(
        "default", description="of all weights: PyTorch's; normal (0, 1); uniform [0, 1); orthogonal; identity"
    )
    outputs: Positive = Field(1, description="outputs of the network; the authors give it one")


class NasBench201Scores(Config):
    """Scoring architectures of NAS-Bench-201 on one minibatch of a data set."""

    space: Literal["nasbench201"] = Field(description="chooses this space")
    dataset: Name = Field(description="name of a data set under `datasets`")
    architectures: Annotated[Positive, Field(le=15_625)] | None = Field(
        description="number of distinct architectures, sampled at random; a larger number keeps those of a "
        "smaller one; null: all"
    )
    score: Score = Score()


class NasBench201Draws(NasBench201Scores):
    """Scoring architectures of NAS-Bench-201, with one or several draws of the weights and of the minibatch."""

    draws: Annotated[Positive, Field(le=500)] = Field(
        1,
        description="draws of weights and images, with the first seed and those after it: every architecture is scored "
        "once per draw, and repeats of NASWOT's search take turns among the draws (the authors draw weights again in "
        "each repeat); everything else reads the first draw",
    )


class DartsScores(Config):
    """Scoring architectures of the DARTS space, sampled from the uniform prior, on one minibatch of a data set."""

    space: Literal["darts"] = Field(description="chooses this space")
    dataset: Name = Field(description="name of a data set under `datasets`")
    network: Stack = Field(description="size of the networks that are scored")
    architectures: Positive = Field(
        description="number of distinct architectures, sampled at random; a larger number keeps those of a smaller one"
    )
    score: Score = Score()


class NasBench101Scores(Config):
    """Scoring architectures of NAS-Bench-101, of a table or sampled, on one minibatch of a data set."""

    space: Literal["nasbench101"] = Field(description="chooses this space")
    dataset: Name = Field(description="name of a data set under `datasets`")
    architectures: Positive | None = Field(
        description="number of distinct architectures, of the table or sampled at random; null: all of the table"
    )
    channels: Positive = Field(128, description="channels of the first stack; the benchmark has 128")
    modules: Positive = Field(3, description="modules of a stack; the benchmark has 3")
    score: Score = Score()


Scores = Annotated[NasBench201Draws | DartsScores | NasBench101Scores, Field(discriminator="space")]
"""By space a section of its own, so that a key of one space is no key of another."""


class ScoreJob(NasBench201Scores):
    """A scoring of NAS-Bench-201 and how it computes."""

    compute: Compute = Compute()


class DartsScoreJob(DartsScores):
    """A scoring of the DARTS space and how it computes."""

    compute: Compute = Compute()


class NasBench101ScoreJob(NasBench101Scores):
    """A scoring of NAS-Bench-101 and how it computes."""

    compute: Compute = Compute()


AnyScoreJob = ScoreJob | DartsScoreJob | NasBench101ScoreJob
SCORE_JOBS: dict[str, type[ScoreJob] | type[DartsScoreJob] | type[NasBench101ScoreJob]] = {
    "nasbench201": ScoreJob,
    "darts": DartsScoreJob,
    "nasbench101": NasBench101ScoreJob,
}


class ScoredSpace(Config):
    """Of the settings of a scoring the key that says which job it is."""

    model_config = ConfigDict(extra="ignore")

    space: Literal["nasbench201", "nasbench101", "darts"]


class Condition(Config):
    """One way to score, repeated: what a repeat draws again, the rest of what is random staying as it is."""

    name: Name = Field(description="of the condition, in tables")
    varies: Literal["images", "weights"] = Field(description="what a repeat draws again: the minibatch, or the weights")
    score: Score = Score()


def published_conditions() -> tuple[Condition, ...]:
    """The conditions of NASWOT's figure 5: minibatches, noise for images, initialisations, sizes of the batch."""
    initialisations: tuple[Initialisation, ...] = get_args(Initialisation)
    return (
        Condition(name="images", varies="images"),
        Condition(name="noise", varies="images", score=Score(images="noise")),
        *(Condition(name=f"weights-{i}", varies="weights", score=Score(initialisation=i)) for i in initialisations),
        *(Condition(name=f"batch-{size}", varies="images", score=Score(batch_size=size)) for size in (32, 64, 256)),
    )


class Ablation(Config):
    """Scores of a few networks of NAS-Bench-201 under several conditions, many times each."""

    space: Literal["nasbench201"] = Field(description="the space whose networks are scored")
    dataset: Name = Field(description="name of a data set under `datasets`")
    networks: Annotated[Positive, Field(le=15_625)] = Field(
        10, description="networks sampled at random; 10 in the paper"
    )
    repeats: Positive = Field(20, description="of every condition; the paper has 20")
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)] = Field(
        default_factory=published_conditions, description="default: those of the paper's figure 5"
    )


class AblationJob(Ablation):
    """An ablation and how it computes."""

    compute: Compute = Compute()


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"got {list(edges)}; allowed: numbers that rise")
    return edges


Edges = Annotated[tuple[float, ...], Field(min_length=2), AfterValidator(_rising)]


class Kernels(Config):
    """Kernel matrices of networks of NAS-Bench-201 sampled by trained accuracy, for a figure."""

    space: Literal["nasbench201"] = Field(description="the space whose networks are shown")
    dataset: Name = Field(description="name of a data set under `datasets`")
    edges: Edges = Field((0.0, 60.0, 80.0, 88.0, 92.0, 100.0), description="of bins of CIFAR-10 test accuracy, percent")
    networks: Positive = Field(5, description="networks sampled at random per bin")
    batch_size: Annotated[Positive, Field(ge=2)] = Field(128, description="images")


class KernelsJob(Kernels):
    """Kernels and how they are computed."""

    compute: Compute = Compute()

    @property
    def score(self) -> Score:
        """The score whose kernels these are."""
        return Score(batch_size=self.batch_size)


class Fit(Config):
    """Which of the scored architectures π is fitted to, and how."""

    scored: Positive | None = Field(
        None, description="scored architectures, sampled at random, that are considered and count as cost; null: all"
    )
    keep: Positive = Field(50, description="the best of them by score, to which π is fitted")
    pseudo_count: Annotated[float, Field(gt=0.0)] = Field(
        1.0, description="architectures that are added to the count of every choice, so that none becomes impossible"
    )

    @model_validator(mode="after")
    def check_keep(self) -> Self:
        """There must be as many as are kept."""
        if self.scored is not None and self.keep > self.scored:
            raise ValueError(f"keep: got {self.keep}; allowed: at most scored ({self.scored})")
        return self


class ScoresPrior(Fit):
    """The π that stages with `init_from: scores` begin with."""

    scores: Name = Field(description="name under `scores`, of the same space")


class FitPiJob(Fit):
    """Fitting π to the best of the scored architectures."""

    space: Space = Field(description="search space of the scores and of π")
