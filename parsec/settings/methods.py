"""Settings of the methods that PARSEC is compared with; each reads what it needs, and PARSEC none of it."""

from typing import Annotated, Literal

from pydantic import Field

from parsec.settings.base import Method, Momentum, Positive, Rate, Strict

RELAXED: tuple[Method, ...] = ("darts", "darts2", "snas", "gdas")
"""Methods that give every edge a mixture of all primitives, so that their π has the form `edges`."""

Temperature = Annotated[float, Field(gt=0.0, le=1000.0)]


class Relaxation(Strict):
    """DARTS, SNAS and GDAS: Adam on the logits of all edges, and the temperatures of the two that sample."""

    learning_rate: Rate = Field(3e-4, description="of Adam (DARTS)")
    betas: tuple[Momentum, Momentum] = Field((0.5, 0.999), description="Adam's averaging factors (DARTS)")
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = Field(1e-3, description="L2 penalty on the logits (DARTS)")
    initial_deviation: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        1e-3, description="standard deviation of the first logits, if they start uniform (code of DARTS)"
    )
    snas_temperature: tuple[Temperature, Temperature] = Field(
        (1.0, 0.03), description="first and last temperature of SNAS, which falls by equal factors (code of SNAS)"
    )
    gdas_temperature: tuple[Temperature, Temperature] = Field(
        (10.0, 0.1), description="first and last temperature of GDAS, which falls by equal steps (GDAS, section 4)"
    )
    resource: Literal["none", "mild", "moderate", "aggressive"] = Field(
        "none", description="SNAS' penalty on the expected multiply-adds of the cells' edges; the factors are ours"
    )


class RandomSearch(Strict):
    """Random search: with shared weights (`random_shared`), and with trainings of their own (`random`)."""

    candidates: Positive = Field(
        1000, description="`random_shared`: children whose accuracy with shared weights is compared, after training"
    )
    architectures: Positive = Field(24, description="`random`: architectures that are trained (DARTS)")
    epochs: Positive = Field(
        100, description="`random`: epochs of each of them (DARTS), in place of the epochs of the stage"
    )
