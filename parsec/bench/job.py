"""The settings of a benchmark, recorded with its numbers, and the sizes of network that it runs at."""

from typing import Literal, NamedTuple

from pydantic import Field

from parsec.settings.base import Positive, Strict
from parsec.settings.training import Network

What = Literal["search", "retrain", "memory", "loader"]


class BenchJob(Strict):
    """One run of a benchmark."""

    what: What = Field(description="what is measured")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: CUDA where it is found, else the CPU")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="of activations, as in the settings")
    rounds: Positive | None = Field(None, description="timed rounds; null: what suits the size")
    paper: bool = Field(False, description="the paper's sizes too")
    tiny: bool = Field(False, description="the smallest network only: shows that it works, measures nothing of worth")


class Size(NamedTuple):
    """A search network and how much of it a benchmark runs."""

    name: str
    network: Network
    image_size: int
    """Pixels."""
    batch_size: int
    children: int
    """Children of one timed step in the comparison of executors."""
    stacked: tuple[int, ...]
    """Values of S; each divides `children`."""
    samples: int
    """K of a full iteration."""
    rounds: int
    """Of the comparison of executors."""
    iteration_rounds: int


TINY = Size("tiny", Network(cells=3, channels=2), 8, 4, 2, (1, 2), 2, 1, 1)
DIGITS = Size("digits", Network(cells=3, channels=4), 8, 64, 16, (1, 2, 4, 8, 16), 16, 7, 5)
SMALL = Size("small", Network(cells=8, channels=16), 32, 64, 4, (1, 2, 4), 16, 2, 1)
PAPER_SMALL = SMALL._replace(children=16, stacked=(1, 2, 4, 8, 16), rounds=5, iteration_rounds=5)
FINETUNE = Size("finetune", Network(cells=20, channels=36), 32, 64, 16, (1, 2, 4), 16, 3, 3)


def sizes(job: BenchJob) -> list[Size]:
    """The sizes that a benchmark of the search runs at."""
    if job.tiny:
        return [TINY]
    return [DIGITS, PAPER_SMALL, FINETUNE] if job.paper else [DIGITS, SMALL]
