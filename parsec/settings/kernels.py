"""Settings of the kernels that the score of NASWOT is read off."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from parsec.settings.base import Name, Positive, Strict
from parsec.settings.compute import Compute
from parsec.settings.score import Score


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"got {list(edges)}; allowed: numbers that rise")
    return edges


Edges = Annotated[tuple[float, ...], Field(min_length=2), AfterValidator(_rising)]


class Kernels(Strict):
    """Kernels of networks of NAS-Bench-201 drawn by trained accuracy: for a figure, not for a search."""

    space: Literal["nasbench201"] = Field(description="the space whose networks are shown")
    dataset: Name = Field(description="name of a data set under `datasets`")
    edges: Edges = Field((0.0, 60.0, 80.0, 88.0, 92.0, 100.0), description="of bins of CIFAR-10 test accuracy, percent")
    networks: Positive = Field(5, description="drawn at random from every bin")
    batch_size: Annotated[Positive, Field(ge=2)] = Field(128, description="images")


class KernelsJob(Kernels):
    """Kernels and how they are computed."""

    compute: Compute = Compute()

    @property
    def score(self) -> Score:
        """The score whose kernels these are."""
        return Score(batch_size=self.batch_size)
