"""The π's that proposals are studied for and pools draw from, in the files that searches and `fit-pi` write."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parsec.config.predictor import AnyPredictorJob
from parsec.config.search import Prior as Form
from parsec.errors import PriorError
from parsec.prior.distribution import Prior
from parsec.prior.parquet import read_history, read_metadata, read_prior
from parsec.space.nasbench201 import architectures
from parsec.space.spaces import NASBENCH201

FloatArray = NDArray[np.float64]


class Studied(NamedTuple):
    """One π over all 15,625 architectures."""

    name: str
    entropy: float
    """Nats."""
    log_prior: Tensor
    """Log π by the benchmark's index, float64 [15625]."""


def choices() -> Tensor:
    """Number of the operation of every edge of all architectures, int64 [15625, 6]."""
    return torch.tensor([NASBENCH201.encode(found, "separate") for found in architectures()])


def read_studied(files: Sequence[Path], moments: Sequence[float]) -> list[Studied]:
    """The π of every `pi.parquet`, and those of every `trajectory.parquet` after these shares of its epochs.

    Raises:
        PriorError: a file that is missing, damaged or of another space; or two π's of one name.
    """
    table = choices()
    found = [_studied(name, prior, table) for path in files for name, prior in _priors(path, moments)]
    names = [each.name for each in found]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise PriorError(f"{repeated} was given twice; give every π once")
    return found


def read_marginals(job: AnyPredictorJob, path: Path | None) -> FloatArray | None:
    """Probabilities [F, O] of the π that a pool of the job draws from; None if none does.

    Raises:
        PriorError: there is none, or it is of another space or form.
    """
    if not any(pool.kind == "prior" for pool in job.pools):
        return None
    if path is None:
        raise PriorError("predictor: a pool of the kind prior needs --pi, the pi.parquet of a search on the same space")
    found: FloatArray = read_prior(path, Form(), job.problem).marginals().detach().numpy()
    return found


def _priors(path: Path, moments: Sequence[float]) -> Iterator[tuple[str, Prior]]:
    about, history = read_metadata(path), read_history(path, Form(), NASBENCH201.name)
    places = np.rint(np.array(moments) * (len(history) - 1)).astype(int) if len(history) > 1 else np.array([0])
    for place in dict.fromkeys(places.tolist()):
        epoch, prior = history[place]
        made = f"{about.get('stage')} {about.get('method')}, seed {about.get('seed')}"
        yield (made if about.get("stage") == "scores" else f"{made}, epoch {epoch}"), prior


def _studied(name: str, prior: Prior, table: Tensor) -> Studied:
    return Studied(name, prior.entropy(), prior.log_prob(table).detach())
