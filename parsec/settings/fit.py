"""Settings of a π that is fitted to training-free scores."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from parsec.settings.base import Name, Positive, Space, Strict
from parsec.settings.search import Prior


class Fit(Strict):
    """Which of the scored architectures π is fitted to, and how."""

    scored: Positive | None = Field(
        None, description="so many of the scored architectures, drawn at random, are looked at and paid for; null: all"
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
    """The π that stages with `start: scores` begin with."""

    scores: Name = Field(description="name under `scores`, of the same space")


class FitPiJob(Fit):
    """Fitting π to the best of the scored architectures."""

    space: Space = Field(description="search space of the scores and of π")
    prior: Prior = Field(Prior(), description="form of π")

    @model_validator(mode="after")
    def check_form(self) -> Self:
        """Counting gives the likeliest π only where factors are independent and every choice is an architecture's."""
        if self.prior.inputs != "independent" or self.prior.factors == "edges":
            raise ValueError(
                "prior: allowed: factors separate or joint, and inputs independent, to be fitted to scores"
            )
        return self
