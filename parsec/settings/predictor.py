"""Settings of a search with a predictor of accuracy, repeated on a tabular benchmark."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from parsec.settings.base import Distinct, Positive, Rate, Strict

PoolKind = Literal["all", "uniform", "smart", "evolution"]
Acquisition = Literal["mean", "upper_bound", "thompson"]


class Pool(Strict):
    """Which architectures the predictor scores in a round."""

    kind: PoolKind = Field(
        description="`all`: the whole space; `uniform`: a new random subset; `smart`: one and two edits of the best so"
        " far and a uniform share; `evolution`: generations of edits, selected by the predictor"
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


class Predictor(Strict):
    """The ensemble of graph convolution networks and how it is trained, anew in every round."""

    members: Positive = Field(3, description="networks of an ensemble, which differ in their first weights")
    width: Positive = Field(16, description="outputs of a graph convolution")
    depth: Positive = Field(3, description="graph convolutions")
    steps: Positive = Field(100, description="steps of Adam on all trained architectures at once")
    learning_rate: Rate = Field(0.02, description="of Adam")
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.0, description="decoupled, as in AdamW")


class PredictorJob(Strict):
    """Searches with a predictor in the manner of Mauch et al. (arXiv 2011.12043), with every pool."""

    problem: Literal["nasbench201", "nasbench101"] = Field(description="benchmark whose table is searched")
    data: Literal["cifar10", "cifar100", "in16"] = Field(
        "cifar10", description="data set whose validation accuracy the search sees; nasbench101 has cifar10 alone"
    )
    pools: Distinct[Pool] = Field(min_length=1, description="the search is repeated with each of them")
    start: Positive = Field(20, description="architectures that are trained first, drawn at random")
    rounds: Positive = Field(13, description="of fitting the predictor, scoring the pool and training the best")
    per_round: Positive = Field(10, description="architectures trained in a round")
    acquisition: Acquisition = Field(
        "mean", description="`mean` of the members; `upper_bound`: mean plus one deviation; `thompson`: a member each"
    )
    predictor: Predictor = Predictor()
    repeats: Positive = Field(100, description="searches with each pool; those of a number start alike in all pools")
    block: Positive = Field(10, description="repeats whose predictors are trained together")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.problem == "nasbench101" and self.data != "cifar10":
            raise ValueError(f"data: got {self.data!r}; allowed: cifar10 with the problem nasbench101")
        return self

    @property
    def budget(self) -> int:
        """Architectures that a search trains."""
        return self.start + self.rounds * self.per_round
