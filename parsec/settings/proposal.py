"""Settings of the study of proposals: children drawn where a predictor expects them to be good."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from parsec.settings.base import Distinct, Fraction, Positive, Strict
from parsec.settings.predictor import Predictor

Strength = Annotated[float, Field(ge=0.0, le=10.0)]


class ProposalJob(Strict):
    """Children of NAS-Bench-201 drawn from q(α) ∝ π(α) exp(β · log-likelihood that a predictor expects)."""

    data: Literal["cifar10", "cifar100", "in16"] = Field(
        "cifar10", description="data set whose validation accuracy stands for the likelihood"
    )
    moments: Distinct[Fraction] = Field(
        (0.0, 0.5, 1.0), description="shares of a search's epochs after which its π is studied", min_length=1
    )
    trained: Distinct[Annotated[Positive, Field(le=15_625)]] = Field(
        (20, 50, 100),
        description="different architectures, drawn from π, that the predictor is fitted to",
        min_length=1,
    )
    betas: Distinct[Strength] = Field(
        (0.0, 0.25, 0.5, 1.0, 2.0), description="β; 0 is π itself, 1 the best for a perfect predictor", min_length=1
    )
    defences: Distinct[Annotated[float, Field(ge=0.0, lt=1.0)]] = Field(
        (0.0, 0.2),
        description="shares of the children that are drawn from π all the same, so that none weighs more than 1/share "
        "times its likelihood, however wrong the predictor is",
        min_length=1,
    )
    samples: Distinct[Annotated[Positive, Field(ge=2)]] = Field(
        (4, 16), description="K, children of a step", min_length=1
    )
    images: Distinct[Positive] = Field(
        (1, 8, 64),
        description="images whose likelihoods are multiplied: 1 is the mean over a minibatch (`likelihood: mean`), the "
        "size of the minibatch its product (`likelihood: sum`)",
        min_length=1,
    )
    predictor: Predictor = Predictor()
    repeats: Positive = Field(100, description="of every study, each with a predictor and children of its own")
    block: Positive = Field(10, description="repeats whose predictors are trained together")

    @model_validator(mode="after")
    def check_betas(self) -> Self:
        """What is gained is gained over π."""
        if 0.0 not in self.betas:
            raise ValueError(f"betas: got {list(self.betas)}; allowed: a list with 0, which is π")
        return self
