"""How well the shared weights of searches rank architectures: Kendall's τ with the truth, once the searches have ended.

The truth is the table of a benchmark, or trainings of the same architectures alone (`random.ranked`).
"""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.records.provenance import SCHEMA, start_provenance, write_json
from parsec.report.inputs import KEYS, base_method, run_folder
from parsec.report.methods import display_name
from parsec.runtime.outputs import check_file
from parsec.search.ranking import ALONE, END, tau
from parsec.space.nasbench201 import from_dict, index_of
from parsec.stats import summarise
from parsec.tabular.nasbench201 import read_report_columns

logger = logging.getLogger(__name__)


def ranking(runs: Iterable[Path], benchmark: Path | None, output: Path) -> None:
    """Compare `ranking.parquet` of searches with the truth; writes a JSON with one row per search and moment.

    A line warns of every method whose τ at the end is not above zero: a search on such weights is blind. The truth is
    the table of NAS-Bench-201, `benchmark`, or without it the searches with `random.ranked` among `runs`, of one space.

    Raises:
        UserError: a run is missing or damaged, or nothing knows the truth.
    """
    run_start = start_provenance("parsec.report.ranking")
    check_file(output, "json ranking")
    folders = list(dict.fromkeys(run_folder(path) for path in runs))
    results = [read_results([folder / "result.json"])[0] for folder in folders]
    samples = [_sample(folder) for folder in folders]
    truth, source = _truth(samples, benchmark)
    rows = [
        row for result, sample in zip(results, samples, strict=True) for row in _correlations(result, sample, truth)
    ]
    for name, text in blind(pd.DataFrame(rows)).items():
        logger.warning(
            "%s: shared weights do not rank architectures (%s); a search on them is blind: train v for longer before "
            "π moves",
            name,
            text,
        )
    start = {"code_fingerprint": run_start.code, "git": run_start.git}
    write_json(output, {"schema": SCHEMA, "kind": "ranking", "truth": source, "rows": rows, **start})


def _sample(folder: Path) -> pd.DataFrame:
    path = folder / "ranking.parquet"
    try:
        sample: pd.DataFrame = pd.read_parquet(path)
        return sample[["moment", "forward_images", "architecture", "loss", "accuracy", "parameters", "weightless"]]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: not the ranking of a search; run the search again") from error


def _truth(samples: list[pd.DataFrame], benchmark: Path | None) -> tuple["pd.Series[float]", str]:
    """Accuracy of every architecture of the sample, and where it is from."""
    architectures = pd.unique(pd.concat([sample["architecture"] for sample in samples]))
    if benchmark is not None:
        tested = read_report_columns(benchmark).test["cifar10"]
        known = {text: float(tested[index_of(from_dict(json.loads(text)))]) for text in architectures}
        return pd.Series(known, dtype=float), "test accuracy on CIFAR-10 in the table of the benchmark"
    alone = pd.concat([sample[sample["moment"] == ALONE] for sample in samples])
    if alone.empty:
        raise UserError("nothing knows the truth: give --benchmark, or a search with random.ranked")
    return alone.groupby("architecture")["accuracy"].mean(), "validation accuracy of each trained alone"


def _correlations(result: dict[str, Any], sample: pd.DataFrame, truth: "pd.Series[float]") -> Iterator[dict[str, Any]]:
    """One row per moment: τ of −loss with the truth, the parameters, and the edges without weights."""
    common = {**{key: result[key] for key in KEYS}, "base": base_method(result)}
    for moment, group in sample[sample["moment"] != ALONE].groupby("moment", sort=False):
        score, accuracies = -group["loss"], group["architecture"].map(truth)
        known = accuracies.notna()
        yield {
            **common,
            "moment": moment,
            "forward_images": int(group["forward_images"].iloc[0]),
            "architectures": int(known.sum()),
            "truth": tau(score[known], accuracies[known]),
            "parameters": tau(score, group["parameters"]),
            "weightless": tau(score, group["weightless"]),
        }


def blind(rows: pd.DataFrame) -> dict[str, str]:
    """Printed name → τ of every method whose τ with the truth at the end of its searches is not above zero.

    Above zero is a lower end of the 95 % interval over searches above zero; of a single search, τ itself.
    """
    taus: dict[str, str] = {}
    if rows.empty:
        return taus
    ends = rows[rows["moment"] == END].dropna(subset="truth")
    for (method, base), group in ends.groupby(["method", "base"], sort=False):
        summary = summarise(group["truth"].to_list())
        if (summary.mean if summary.low is None else summary.low) <= 0:
            interval = "" if summary.low is None else f" [{summary.low:.2f}, {summary.high:.2f}]"
            taus[display_name(method, base)] = f"τ {summary.mean:.2f}{interval}, n = {summary.n}"
    return taus
