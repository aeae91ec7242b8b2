"""The stage `fit-pi`: from zero-cost scores to the `pi.parquet` that a search can start from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parsec.config.base import fingerprint, seed_of
from parsec.config.zero_cost import FitPiJob
from parsec.errors import UserError
from parsec.prior.distribution import Prior, fit
from parsec.prior.parquet import write_prior
from parsec.records.parquet import SCORES_FILE
from parsec.records.provenance import SCHEMA, provenance, start_provenance, write_json
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_run_folder, mark_folder
from parsec.space.nasbench201 import parse
from parsec.space.spaces import SPACES, from_text

STAGE = "scores"
"""Stage that `pi.parquet` records as its origin."""


def fit_pi(job: FitPiJob, scores: Path, output: Path) -> None:
    """Fit π to the best of the scored architectures; write `pi.parquet` and `fit.json` into `output`.

    The draw of those that are looked at follows from the seed of the scores. No accuracy is read.

    Raises:
        UserError: scores that are missing, damaged, of another space, or too few.
    """
    run_start = start_provenance("parsec.zero_cost.fit_prior")
    run = f"fit-pi of {scores} (settings {fingerprint(job)})"
    check_run_folder(output, "fit-pi", run, ["pi.parquet", "fit.json"])
    rows, origin = SCORES_FILE.read(scores)
    settings = origin["provenance"]["settings"]
    if settings["space"] != job.space:
        raise UserError(f"{scores}: scores of {settings['space']}, but the settings want {job.space}; give such scores")
    scored = _looked_at(rows, job.scored, origin["seed"], scores)
    kept = _best(scored, job.keep, scores)

    # π from how often the best architectures make each choice.
    space, read = SPACES[job.space], parse if job.space == "nasbench201" else from_text
    indices = np.array([space.encode(read(text), "separate") for text in kept["architecture"]])
    prior = Prior("separate", fit(indices, space.factors("separate"), job.pseudo_count), space)

    metadata = {"space": job.space, "stage": STAGE, "dataset": settings["dataset"], "method": settings["score"]["kind"]}
    metadata |= {"seed": str(origin["seed"]), "epoch": "0", "settings_fingerprint": fingerprint(job)}
    metadata |= {"parent_fingerprint": "", "code_fingerprint": run_start.code}
    mark_folder(output, "fit-pi", run=run)
    write_prior(output / "pi.parquet", prior, metadata)
    document: dict[str, Any] = {"schema": SCHEMA, "kind": "fit", "stage": STAGE, "method": metadata["method"]}
    document |= {"seed": origin["seed"], "parent": None, "scored": len(scored), "cost": _cost(scored, origin["cost"])}
    document |= {"forward_images": len(scored) * settings["score"]["batch_size"]}
    document |= {"failed": int((scored["status"] == "failed").sum()), "kept": kept["architecture"].tolist()}
    document |= {"entropy": prior.entropy()}
    document |= {"mode": prior.mode().as_dict() if prior.has_mode() else None}
    write_json(output / "fit.json", {**document, "provenance": provenance(job, run_start, None)})
    logger.info("fit-pi: the best %d of %d, π of %.2f nats", len(kept), len(scored), document["entropy"])


def _looked_at(rows: pd.DataFrame, count: int | None, seed: int, path: Path) -> pd.DataFrame:
    """`count` rows of a `scores.parquet`, drawn without replacement; a larger number keeps those of a smaller one."""
    if count is not None and count > len(rows):
        raise UserError(f"{path}: {len(rows)} architectures, fewer than scored ({count}); score more, or lower it")
    drawn = np.random.default_rng(seed_of(seed, "fit-pi")).permutation(len(rows))
    return rows if count is None else rows.iloc[drawn[:count]]


def _best(rows: pd.DataFrame, count: int, path: Path) -> pd.DataFrame:
    """The rows of the highest scores; a failed architecture is never among them."""
    with_score = rows[rows["status"] == "scored"]
    if count > len(with_score):
        raise UserError(f"{path}: {len(with_score)} architectures have a score, fewer than keep ({count}); lower keep")
    return with_score.sort_values(["score", "index"], ascending=[False, True]).iloc[:count]


def _cost(scored: pd.DataFrame, scoring: dict[str, Any]) -> dict[str, Any]:
    """Share of the scoring's cost for the architectures that were used; its energy cannot be split."""
    seconds = float(scored["seconds"].sum())
    return {**scoring, "device_seconds": seconds, "wall_seconds": seconds, "energy_joules": None}
