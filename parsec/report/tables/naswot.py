"""Tables on NASWOT: rank correlations with trained accuracy, and their ablation.

What reads a file raises a `UserError` for one that is missing, damaged or of another space.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from parsec.errors import UserError
from parsec.plugins import published_folder
from parsec.records.parquet import ABLATION_FILE, SCORES_FILE
from parsec.report.inputs import read_rows
from parsec.report.tables.base import NOTHING, Column, Section, Table, TableResult, significant, text_column
from parsec.report.tables.nasbench201 import LABELS
from parsec.space.nasbench201 import SIZE
from parsec.stats import bootstrap_ends
from parsec.tabular.nasbench101 import read_search_columns
from parsec.tabular.nasbench201 import DATA, Data, ReportColumns, read_report_columns, read_validation
from parsec.tabular.problem import FloatArray

FIRST_TRAIN, FIRST_EVAL, ICML = "arXiv-v1 code (tag v1.0, no eval())", "arXiv-v1 paper (code with eval())", "ICML2021"
"""Versions of the paper; the first one's numbers exist with batch norm in train and in eval mode."""


def naswot_rows(space: str, **equal: str) -> pd.DataFrame:
    """Published rows of a search space whose columns have the given values; all values are text, as printed."""
    rows = read_rows(published_folder() / "naswot.csv")
    for name, value in {"search_space": space, **equal}.items():
        rows = rows[rows[name] == value]
    return rows.reset_index(drop=True)


RESAMPLES = 1000
UNTRAINED = 15.0
"""Accuracy in percent up to which NASWOT's figure leaves an architecture of CIFAR-10 out; chance is 10."""


class Correlation(NamedTuple):
    """Rank correlations of n scored architectures, and the 95 % bootstrap interval of τ over architectures."""

    n: int
    failed: int
    """Architectures without a score; they are in neither correlation."""
    tau: float
    low: float
    high: float
    rho: float
    """Spearman's."""


def correlation(rows: pd.DataFrame, accuracies: FloatArray, above: float = 0.0) -> Correlation:
    """Correlate the rows of a `scores.parquet` with accuracies in percent, by the index of the benchmark.

    Architectures up to the accuracy `above` are left out.

    Raises:
        ValueError: fewer than two architectures are left.
    """
    # Untrained networks are left out first, then failed scores are counted and left out.
    rows = rows[accuracies[rows["index"]] > above]
    scored = rows[rows["status"] == "scored"]
    if len(scored) < 2:
        raise ValueError(f"{len(scored)} scored architectures are too few for a correlation")
    scores, reached = scored["score"].to_numpy(), accuracies[scored["index"]]

    def resampled(indices: NDArray[np.int64]) -> list[float]:
        # A resample of one architecture over and over has no order: NaN.
        return [kendalltau(scores[each], reached[each]).statistic for each in indices]

    low, high = map(float, bootstrap_ends(resampled, len(scored), RESAMPLES))
    tau, rho = kendalltau(scores, reached).statistic, spearmanr(scores, reached).statistic
    return Correlation(len(scored), len(rows) - len(scored), float(tau), low, high, float(rho))


KINDS = {"relu_log_determinant": "log-determinant", "jacobian_eigenvalues": "Jacobian eigenvalues"}


class ScoreFile(NamedTuple):
    """One file of scores: its rows, and what made them."""

    rows: pd.DataFrame
    kind: str
    mode: str
    """Batch norm: `train` or `eval`."""
    dataset: str
    """Whose images it was scored on."""
    seed: int
    settings: str
    """Everything that made it but the seed, as JSON: files that agree in it are draws of one scoring."""

    @property
    def title(self) -> str:
        """Title of its rows in a table: the score and its conditions."""
        return f"This run: {KINDS[self.kind]}, {self.mode} mode, images of {self.dataset}, seed {self.seed}"

    @property
    def facts(self) -> dict[str, Any]:
        """What it is, in the rows of a CSV."""
        return {"score": self.kind, "mode": self.mode, "dataset": self.dataset, "seed": self.seed}

    def by_index(self) -> FloatArray:
        """Scores by the benchmark's index, [15625]; NaN where none is known, −∞ where scoring failed."""
        scores = np.full(SIZE, np.nan)
        failed = (self.rows["status"] == "failed").to_numpy()
        scores[self.rows["index"]] = np.where(failed, -np.inf, self.rows["score"].to_numpy(dtype=float))
        return scores


def read_score_file(path: Path, space: str = "nasbench201") -> ScoreFile:
    """One `scores.parquet` of this space."""
    rows, origin = SCORES_FILE.read(path)
    settings = origin["provenance"]["settings"]
    if settings["space"] != space:
        raise UserError(f"{path}: scores of {settings['space']}; give scores of {space}")
    score = settings["score"]
    text = json.dumps(settings, sort_keys=True)
    return ScoreFile(rows, score["kind"], score["mode"], settings["dataset"], origin["seed"], text)


def by_scoring(scored: Sequence[ScoreFile]) -> list[list[ScoreFile]]:
    """The draws of every scoring, in the order in which they were given.

    Raises:
        UserError: a draw is given twice.
    """
    scorings: dict[str, list[ScoreFile]] = {}
    for one in scored:
        scorings.setdefault(one.settings, []).append(one)
    for draws in scorings.values():
        if len({one.seed for one in draws}) < len(draws):
            raise UserError(f"{draws[0].title}: two files of one scoring have the same seed; give each draw once")
    return list(scorings.values())


def after_table(name: str, inputs: Sequence[Path], kind: str = "scores.parquet") -> Sequence[Path]:
    """The files of a kind that are given after the benchmark's table; `name` is who asks.

    Raises:
        UserError: fewer than two files.
    """
    if len(inputs) < 2:
        raise UserError(f"{name}: give the benchmark's table first, then one {kind} or more")
    return inputs[1:]


def read_inputs(name: str, inputs: Sequence[Path]) -> tuple[ReportColumns, list[ScoreFile]]:
    """The benchmark's table, given first, and the files of scores after it; `name` is who asks."""
    paths = after_table(name, inputs)
    return read_report_columns(inputs[0]), [read_score_file(path) for path in paths]


ABLATION_COLUMNS = (
    text_column("Condition", "condition", "l"),
    text_column("Redrawn", "varies", "l"),
    text_column("Repeats", "repeats"),
    text_column("Networks", "networks"),
    Column("Spread within", lambda row: _three_digits(row["within"])),
    Column("Spread between", lambda row: _three_digits(row["between"])),
    Column("τ between repeats", lambda row: _three_digits(row["tau_between_repeats"])),
    Column("τ with accuracy", lambda row: _three_digits(row["tau_with_accuracy"])),
)
ABLATION_NOTES = [
    "Spread within: standard deviation of a network's score over repeats, root of the mean square over networks. "
    "Spread between: standard deviation of the networks' mean scores. Where the first is much smaller than "
    "the second, one repeat is enough to order these networks.",
    "τ between repeats: Kendall's, mean over all pairs of repeats. τ with accuracy: with CIFAR-10 test accuracy after "
    "200 epochs, mean over repeats; few networks make it coarse. Networks without a score in some repeat are left out.",
]


def make_ablation_table(inputs: list[Path]) -> TableResult:
    """The benchmark's table and files of ablated scores → spread and order of scores, by condition."""
    paths = after_table("naswot-ablation", inputs, "ablation.parquet")
    accuracies, rows, sections = read_report_columns(inputs[0]).test["cifar10"], list[dict[str, Any]](), []
    for path in paths:
        scores, origin = ABLATION_FILE.read(path)
        settings = origin["provenance"]["settings"]
        varied = {condition["name"]: condition["varies"] for condition in settings["conditions"]}
        measured = [{"dataset": settings["dataset"], **row} for row in _measured(scores, varied, accuracies)]
        rows += measured
        label = LABELS.get(settings["dataset"], settings["dataset"])
        sections.append(Section.of(f"This run, images of {label}, seed {origin['seed']}", measured, ABLATION_COLUMNS))
    caption = "Ablations of zero-cost scores on NAS-Bench-201"
    table = Table("naswot-ablation", caption, ABLATION_COLUMNS, sections, ABLATION_NOTES)
    return TableResult(table, pd.DataFrame(rows))


def score_matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of one condition: one row per network index, one column per repeat; failed networks are left out."""
    return rows.pivot(index="index", columns="repeat", values="score").dropna()


def _measured(rows: pd.DataFrame, varied: dict[str, str], accuracies: FloatArray) -> Iterator[dict[str, Any]]:
    for name, varies in varied.items():
        matrix = score_matrix(rows[rows["condition"] == name])
        scores = matrix.to_numpy(dtype=float)
        # Columns of `scores` are repeats, rows are networks.
        pairs = combinations(scores.T, 2)
        yield {
            "condition": name,
            "varies": varies,
            "repeats": scores.shape[1],
            "networks": scores.shape[0],
            "within": _within(scores),
            "between": float(scores.mean(axis=1).std(ddof=1)) if scores.shape[0] > 1 else None,
            "tau_between_repeats": _mean([kendalltau(one, other).statistic for one, other in pairs]),
            "tau_with_accuracy": _mean([kendalltau(one, accuracies[matrix.index]).statistic for one in scores.T]),
        }


def _within(scores: FloatArray) -> float | None:
    """Spread over repeats; from differences, so that equal scores have none at all."""
    if scores.shape[1] < 2:
        return None
    return float(np.sqrt((scores - scores[:, :1]).var(axis=1, ddof=1).mean()))


def _mean(values: Sequence[float]) -> float | None:
    """None where there is no order: one repeat, or networks of one score."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else None


def _three_digits(value: float | None) -> str:
    return NOTHING if value is None else significant(value, 3)


IMAGES = {"half": "half of the images", "all": "all images"}
RANK_COLUMNS = (
    Column("Kendall's τ", lambda row: row["published"] if "published" in row else f"{row['tau']:.3f}"),
    Column(
        "95 % interval", lambda row: NOTHING if "published" in row else f"{row['low']:.3f} to {row['high']:.3f}", "l"
    ),
    Column("Spearman's ρ", lambda row: NOTHING if "published" in row else f"{row['rho']:.3f}", "l"),
)
"""Of our rows; of `published` ones only τ is known, as printed."""
CORRELATION_COLUMNS = (
    text_column("Accuracy", "accuracy", "l"),
    Column("Trained on", lambda row: IMAGES[row["trained_on"]], "l"),
    Column("Left out", lambda row: f"≤ {row['above']:.0f} %" if row["above"] else NOTHING, "l"),
    text_column("n", "n"),
    text_column("Failed", "failed"),
    *RANK_COLUMNS,
)
CORRELATION_NOTES = [
    "Accuracy after 200 epochs, mean over the benchmark's seeds. The intervals are bootstrapped over architectures.",
    "The published τ is with validation accuracy, about 1,000 architectures, each scored on images of its own data "
    "set; on CIFAR-10 of networks trained on half of the images, those at 15 % and below left out. Where a table has "
    "no validation accuracy after 200 epochs, our row on half of the images above 15 % comes closest, on test images.",
    "A failed architecture has no score; it is in neither correlation.",
]
PROTOCOLS: dict[Data, tuple[str, float]] = {
    "cifar10": ("half", UNTRAINED),
    "cifar100": ("all", 0.0),
    "in16": ("all", 0.0),
}
"""Training images of networks with a validation accuracy, and the accuracy up to which the paper leaves them out."""


def make_correlation_table(inputs: list[Path]) -> TableResult:
    """The benchmark's table and files of scores → τ and ρ for every score, data set and protocol."""
    truth, scored = read_inputs("naswot-correlation", inputs)
    validation = read_validation(inputs[0])
    sections, rows = [], list[dict[str, Any]]()
    for one in scored:
        correlations = list(_ours(one, truth, validation))
        rows += correlations
        sections.append(Section.of(one.title, correlations, CORRELATION_COLUMNS))
    theirs = naswot_rows("NAS-Bench-201", metric="kendall_tau")
    published = [_published_row(row.dataset, row.value) for row in theirs.itertuples()]
    sections.append(Section.of("Published: log-determinant, train mode", published, CORRELATION_COLUMNS))
    sources = list(dict.fromkeys(theirs["source"]))
    caption = "Training-free scores and trained accuracy on NAS-Bench-201"
    table = Table("naswot-correlation", caption, CORRELATION_COLUMNS, sections, CORRELATION_NOTES, sources)
    return TableResult(table, pd.DataFrame(rows))


def _ours(scored: ScoreFile, truth: ReportColumns, validation: dict[Data, FloatArray]) -> Iterator[dict[str, Any]]:
    cases = [("CIFAR-10 test", "half", above, truth.half) for above in (UNTRAINED, 0.0)]
    cases += [(f"{LABELS[d]} test", "all", 0.0, truth.test[d]) for d in DATA]
    cases += [(f"{LABELS[d]} validation", *PROTOCOLS[d], values) for d, values in validation.items()]
    for accuracy, images, above, values in cases:
        try:
            result = correlation(scored.rows, values, above)
        except ValueError as error:
            raise UserError(f"{scored.title}: {error}; score more architectures") from error
        yield {**scored.facts, "accuracy": accuracy, "trained_on": images, "above": above, **result._asdict()}


def _published_row(label: str, tau: str) -> dict[str, Any]:
    images, above = next(PROTOCOLS[data] for data in DATA if LABELS[data] == label)
    common = {"accuracy": f"{label} validation", "trained_on": images, "above": above}
    return {**common, "n": None, "failed": None, "published": tau}


NAME = "naswot-correlation-nasbench101"


def _score_title(row: dict[str, Any]) -> str:
    return row.get("title") or f"{KINDS[row['score']]}, {row['mode']} mode, images of {row['dataset']}"


CORRELATION101_COLUMNS = (
    Column("Score", _score_title, "l"),
    text_column("Scored", "n"),
    text_column("Failed", "failed"),
    text_column("Of the table's", "architectures"),
    *RANK_COLUMNS,
)
CORRELATION101_NOTES = [
    "Validation accuracy on CIFAR-10 after 108 epochs. The interval is bootstrapped over architectures.",
    "The published τ is of a random sample of the whole benchmark, of 423,624 cells; a part of it that was not drawn "
    "at random has another τ.",
    "A failed architecture has no score; it is in neither correlation.",
]


def make_correlation101_table(inputs: list[Path]) -> TableResult:
    """The benchmark's table and files of scores of its architectures → τ and ρ for every score."""
    paths = after_table(NAME, inputs)
    accuracies = read_search_columns(inputs[0]).validation
    rows = [_row(path, accuracies) for path in paths]
    theirs = naswot_rows("NAS-Bench-101", metric="kendall_tau")
    unknown = dict.fromkeys(("n", "failed", "architectures"))
    published = [{"title": KINDS["relu_log_determinant"], "published": value, **unknown} for value in theirs["value"]]
    parts = {"This run": rows, "Published": published}
    sections = [Section.of(title, part, CORRELATION101_COLUMNS) for title, part in parts.items()]
    caption = "Training-free scores and trained accuracy on NAS-Bench-101"
    sources = list(dict.fromkeys(theirs["source"]))
    table = Table(NAME, caption, CORRELATION101_COLUMNS, sections, CORRELATION101_NOTES, sources)
    return TableResult(table, pd.DataFrame(rows))


def _row(path: Path, accuracies: FloatArray) -> dict[str, Any]:
    scored = read_score_file(path, "nasbench101")
    try:
        result = correlation(scored.rows, accuracies)
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: {error}; score more architectures of this table") from error
    return {**scored.facts, "architectures": len(accuracies), **result._asdict()}
