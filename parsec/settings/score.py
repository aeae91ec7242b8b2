"""Settings of training-free scoring."""

from typing import Annotated, Literal

from pydantic import Field

from parsec.settings.base import Name, Positive, Strict
from parsec.settings.training import Augmentation
from parsec.settings.tree import Compute

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


class ScoreJob(Strict):
    """Scoring architectures of a space on one minibatch of a data set."""

    space: Literal["nasbench201"]
    dataset: Name
    architectures: Annotated[Positive, Field(le=15_625)] | None = Field(
        description="so many different ones, drawn at random; a larger number keeps those of a smaller one; null: all"
    )
    score: Score = Score()
    compute: Compute = Compute()
