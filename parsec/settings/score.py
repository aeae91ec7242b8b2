"""Settings of training-free scoring."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from parsec.settings.base import Name, Positive, Strict
from parsec.settings.compute import Compute
from parsec.settings.training import Augmentation, Stack

Initialisation = Literal["default", "normal", "uniform", "orthogonal", "identity"]


class Score(Strict):
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
    augmentation: Augmentation = Field(
        Augmentation(crop="none", flip=False), description="of the images; the first version crops and flips"
    )
    initialisation: Initialisation = Field(
        "default",
        description="of all weights: PyTorch's; normal (0, 1); uniform [0, 1); orthogonal; identity",
    )
    outputs: Positive = Field(1, description="outputs of the network; the authors give it one")


class NasBench201Scores(Strict):
    """Scoring architectures of NAS-Bench-201 on one minibatch of a data set."""

    space: Literal["nasbench201"] = Field(description="chooses this space")
    dataset: Name = Field(description="name of a data set under `datasets`")
    architectures: Annotated[Positive, Field(le=15_625)] | None = Field(
        description="so many different ones, drawn at random; a larger number keeps those of a smaller one; null: all"
    )
    score: Score = Score()


class NasBench201Draws(NasBench201Scores):
    """Scoring architectures of NAS-Bench-201, with one or several draws of the weights and of the minibatch."""

    draws: Annotated[Positive, Field(le=500)] = Field(
        1,
        description="draws of weights and images, with the first seed and those after it: every architecture is scored "
        "once per draw, and repeats of NASWOT's search take turns among the draws (the authors draw weights anew in "
        "each repeat); everything else reads the first draw",
    )


class DartsScores(Strict):
    """Scoring architectures of the DARTS space, drawn from the uniform prior, on one minibatch of a data set."""

    space: Literal["darts"] = Field(description="chooses this space")
    dataset: Name = Field(description="name of a data set under `datasets`")
    network: Stack = Field(description="size of the networks that are scored")
    architectures: Positive = Field(
        description="so many different ones, drawn at random; a larger number keeps those of a smaller one"
    )
    score: Score = Score()


class NasBench101Scores(Strict):
    """Scoring architectures of NAS-Bench-101, of a table or drawn, on one minibatch of a data set."""

    space: Literal["nasbench101"] = Field(description="chooses this space")
    dataset: Name = Field(description="name of a data set under `datasets`")
    architectures: Positive | None = Field(
        description="so many different ones, of the table or drawn at random; null: all of the table"
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


class ScoredSpace(Strict):
    """Of the settings of a scoring the key that says which job it is."""

    model_config = ConfigDict(extra="ignore")

    space: Literal["nasbench201", "nasbench101", "darts"]
