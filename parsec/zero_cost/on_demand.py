"""The score of any architecture of the DARTS space, under the conditions of a scoring that was kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from parsec.config.zero_cost import DartsScoreJob
from parsec.data.dataset import read_info
from parsec.errors import UserError
from parsec.records.parquet import SCORES_FILE
from parsec.space.darts import Genotype
from parsec.zero_cost.candidates import DartsPool
from parsec.zero_cost.score import Scoring, minibatch

Worth = Callable[[Genotype], float]


def read_sample(path: Path) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """The scores of a uniform sample of the DARTS space, in the order of the draws, and `about` of the file.

    One that has no score counts as the worst of the others.

    Raises:
        UserError: the file is missing, damaged, of another space, or without any score.
    """
    rows, about = SCORES_FILE.read(path)
    space = about["provenance"]["settings"]["space"]
    if space != "darts" or rows["score"].isna().all():
        raise UserError(f"{path}: scores of {space}, or none at all; give those of architectures of darts")
    rows = rows.sort_values("index")
    return rows["score"].fillna(rows["score"].min()).to_numpy(np.float64), about


def scorer(path: Path, data: Path) -> Worth:
    """What scores an architecture as those of a `scores.parquet` were, on the CPU; without a score: their worst.

    The weights follow from the architecture and the seed of the scores.

    Raises:
        UserError: see `read_sample`; or `data` is not the data set of the scores.
    """
    reached, about = read_sample(path)
    job = DartsScoreJob.model_validate(about["provenance"]["settings"])
    info = read_info(data)
    if info.content_hash != about["provenance"]["dataset_hash"]:
        raise UserError(f"{data}: not the data set that {path} was scored on ({job.dataset}); give its folder")
    images = minibatch(job, data, info, about["seed"], torch.device("cpu"))
    pool = DartsPool(job.network, about["seed"])
    scoring, worst = Scoring(job, about["seed"], (), images, pool), float(reached.min())

    def worth(found: Genotype) -> float:
        score, _ = scoring.score(found, pool.text(found))
        return worst if score is None or pd.isna(score) else score

    return worth
