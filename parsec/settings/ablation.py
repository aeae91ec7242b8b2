"""Settings of the ablations of training-free scores."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from parsec.settings.base import Name, Positive, Strict
from parsec.settings.compute import Compute
from parsec.settings.score import Initialisation, Score


class Condition(Strict):
    """One way to score, repeated: what a repeat draws anew, the rest of what is random staying as it is."""

    name: Name = Field(description="of the condition, in tables")
    varies: Literal["images", "weights"] = Field(description="what a repeat draws anew: the minibatch, or the weights")
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


class Ablation(Strict):
    """Scores of a few networks of NAS-Bench-201 under several conditions, many times each."""

    space: Literal["nasbench201"] = Field(description="the space whose networks are scored")
    dataset: Name = Field(description="name of a data set under `datasets`")
    networks: Annotated[Positive, Field(le=15_625)] = Field(10, description="drawn at random; the paper has 10")
    repeats: Positive = Field(20, description="of every condition; the paper has 20")
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)] = Field(
        default_factory=published_conditions, description="default: those of the paper's figure 5"
    )


class AblationJob(Ablation):
    """An ablation and how it computes."""

    compute: Compute = Compute()
