"""Table: evenness of the importance weights of a predictor's proposal, and error of its gradient, relative to π."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.records.parquet import PROPOSALS_FILE
from parsec.report.sample_efficiency import RESAMPLES
from parsec.report.tables.base import Section, Table, TableResult, list_columns
from parsec.stats import bootstrap_ends

CASE = ["prior", "entropy", "images", "trained", "defence", "samples"]
"""The columns within which only β differs."""
PROPOSAL_NOTES = (
    "q(α) ∝ π(α) exp(β · log-likelihood that the predictor expects); β = 0 is π. Children weigh p(y|α) π(α)/q(α).",
    "ESS/K: mean effective sample size of K children by K; in the limit of many children it is exact.",
    "Error: mean squared error of the estimated gradient of log p(y|π), by that under π. Where "
    "it falls like 1/K, its inverse is how many times as many children of π give the same error.",
    "±: half of the 95 % bootstrap interval over repeats; those of a number use the same random numbers with every β.",
    "The likelihood of an architecture is made up from its validation accuracy a after 12 epochs: a log a + (1 − a) "
    "log((1 − a)/(C − 1)) of an image, times the number of images. One image: the likelihood tempered by the size of "
    "the minibatch.",
)


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row for every `CASE` and β of a `proposal.parquet`, and the settings of its job.

    Means over repeats, with the ends of their 95 % bootstrap intervals. `share` and `limit` as in the file; `gained`:
    `share` less that of β = 0; `error`: mean error by that of β = 0.

    Raises:
        UserError: missing, damaged or another file.
    """
    rows, origin = PROPOSALS_FILE.read(path)
    repeats = rows["repeat"].nunique()
    summaries = []
    for case, group in rows.sort_values("repeat", kind="stable").groupby(CASE, sort=False):
        values = dict(iter(group.groupby("beta")))
        for beta, each in values.items():
            common = dict(zip(CASE, case, strict=True))
            summaries.append(common | {"beta": beta, "repeats": repeats} | _measured(each, values[0.0]))
    return pd.DataFrame(summaries), origin["provenance"]["settings"]


def _measured(rows: pd.DataFrame, rows_of_pi: pd.DataFrame) -> dict[str, float]:
    share, error = rows["share"].to_numpy(), rows["error"].to_numpy()
    gained, error_of_pi = share - rows_of_pi["share"].to_numpy(), rows_of_pi["error"].to_numpy()
    values = {"share": share.mean(), "gained": gained.mean(), "error": error.mean() / error_of_pi.mean()}

    def resampled(indices: NDArray[np.int64]) -> NDArray[np.float64]:
        ratios = error[indices].mean(1) / error_of_pi[indices].mean(1)
        return np.stack([share[indices].mean(1), gained[indices].mean(1), ratios], 1)

    # The same resamples for every β, so that their numbers can be compared.
    low, high = bootstrap_ends(resampled, len(share), RESAMPLES)
    row = {"limit": float(rows["limit"].mean())}
    for name, *numbers in zip(values, values.values(), low, high, strict=True):
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), map(float, numbers), strict=True))
    return row


def make_proposal_table(inputs: Sequence[Path]) -> TableResult:
    """One `proposal.parquet` → a section for every π and likelihood; the largest K and number of trained ones."""
    if len(inputs) != 1:
        raise UserError("proposal: give one proposal.parquet, as `parsec propose` makes it")
    rows, job = read(inputs[0])
    largest = rows[(rows["samples"] == max(job["samples"])) & (rows["trained"] == max(job["trained"]))]
    sections = [_section(case, group) for case, group in largest.groupby(["prior", "entropy", "images"], sort=False)]
    headings = ["Drawn from π anyway (%)", "Measure", "n", *(f"β = {beta:g}" for beta in sorted(job["betas"]))]
    size = f"K = {max(job['samples'])} children, predictors fitted to {max(job['trained'])} architectures drawn from π"
    first = f"{size}; n = {job['repeats']} repeats; further numbers in the CSV."
    title = "Children sampled from a predictor's proposal instead of π on NAS-Bench-201"
    columns = list_columns(headings, "llr" + "r" * len(job["betas"]))
    notes = [first, *PROPOSAL_NOTES, *_verdicts(largest)]
    return TableResult(Table("proposal", title, columns, sections, notes), rows)


def _section(case: tuple[str, float, int], rows: pd.DataFrame) -> Section:
    prior, entropy, images = case
    title = f"{prior} (π of {entropy:.1f} nats), likelihood of {images} image{'s' if images > 1 else ''}"
    return Section(title, [line for _, group in rows.groupby("defence") for line in _lines(group.sort_values("beta"))])


def _lines(rows: pd.DataFrame) -> Iterator[list[str]]:
    """Three lines of one share of π, one cell per β."""
    kept, repeats = f"{100 * rows['defence'].iloc[0]:.0f}", str(rows["repeats"].iloc[0])
    yield [kept, "ESS/K", repeats, *(_cell(row, "share") for row in rows.to_dict("records"))]
    yield [kept, "ESS/K in the limit", repeats, *(f"{limit:.3f}" for limit in rows["limit"])]
    yield [kept, "Error", repeats, *(_cell(row, "error") for row in rows.to_dict("records"))]


def _cell(row: dict[Any, Any], name: str) -> str:
    return f"{row[name]:.2f} ± {(row[f'{name}_high'] - row[f'{name}_low']) / 2:.2f}"


def _verdicts(rows: pd.DataFrame) -> Iterator[str]:
    """For every likelihood and share of π: how often something is gained, by intervals that exclude no gain."""
    for (images, defence), group in rows[rows["beta"] > 0].groupby(["images", "defence"]):
        even, near = (group["gained_low"] > 0).sum(), (group["error_high"] < 1).sum()
        worse = (group["error_low"] > 1).sum()
        yield (
            f"Likelihood of {images}, {100 * defence:.0f} % from π: of {len(group)} pairs of π and β > 0 the children "
            f"weigh more evenly in {even}, their gradient is nearer in {near} and farther in {worse}."
        )
