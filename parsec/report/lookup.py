"""True accuracies of the architectures that searches on NAS-Bench-201 selected, read once the searches have ended.

This and other reports are the only readers of the benchmark's test columns; a search is never given them.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.prior.distribution import Prior
from parsec.records.documents import read_results
from parsec.records.provenance import SCHEMA, start_provenance, write_json
from parsec.report.inputs import KEYS, base_method, read_run, read_trajectory, run_folder
from parsec.runtime.files import temporary_path
from parsec.runtime.outputs import check_file, parquet_signature
from parsec.space.factors import WEIGHTLESS
from parsec.space.nasbench201 import EDGES, OPERATIONS, Architecture, architectures, from_dict, index_of
from parsec.space.spaces import NASBENCH201
from parsec.tabular.nasbench201 import DATA, ReportColumns, read_report_columns
from parsec.tabular.problem import FloatArray


def lookup(runs: Iterable[Path], benchmark: Path, output: Path) -> None:
    """Look up selected architectures: `<output>.json` has one entry per run, `<output>.parquet` one row per epoch.

    `runs` are folders of searches on NAS-Bench-201, `benchmark` is its table (Parquet).

    Raises:
        BenchmarkError: the table is missing, damaged or another one.
        UserError: a run is missing, damaged, or of another space.
    """
    run_start = start_provenance("parsec.report.lookup")
    table, page = (output.with_name(f"{output.name}.{kind}") for kind in ("parquet", "json"))
    check_file(page, "json lookup")
    columns = read_report_columns(benchmark)
    results = {folder: _result(folder) for folder in dict.fromkeys(run_folder(path) for path in runs)}
    epochs = pd.concat([of_epochs(folder, result, columns) for folder, result in results.items()])
    check_file(table, parquet_signature(epochs.columns))
    with temporary_path(table) as temporary:
        epochs.to_parquet(temporary, index=False)
    document = {
        "schema": SCHEMA,
        "kind": "lookup",
        "benchmark": {"file": benchmark.name, "sha256": hashlib.sha256(benchmark.read_bytes()).hexdigest()},
        "best": {data: float(columns.test[data].max()) for data in DATA},
        "mean": {data: float(columns.test[data].mean()) for data in DATA},
        "trivial": list(without_search(results.values(), columns)),
        "runs": [of_result(result, columns) for result in results.values()],
        "code_fingerprint": run_start.code,
        "git": run_start.git,
    }
    write_json(page, document)


def without_search(results: Iterable[dict[str, Any]], columns: ReportColumns) -> Iterator[dict[str, Any]]:
    """Choices that need no search: by data set the mean, and the standard deviation over their architectures.

    What a search must beat to have found anything: convolutions everywhere, and what its warm-up samples from.
    """
    choices = _choices()
    convolutions = [OPERATIONS.index(name) for name in OPERATIONS if name not in WEIGHTLESS]
    largest = choices == OPERATIONS.index("nor_conv_3x3")
    weights = {
        "Any architecture of convolutions only": np.isin(choices, convolutions).all(1).astype(float),
        "3 × 3 convolutions everywhere (most parameters)": largest.all(1).astype(float),
    }
    # Of the warm-ups of these searches: the product of the probabilities of the six edges.
    warmups = (result["provenance"]["settings"].get("settings", {}).get("warmup", {}) for result in results)
    shares = dict.fromkeys(warmup["weightless_share"] for warmup in warmups if warmup.get("weightless_share"))
    for share in shares:
        drawn = Prior(space=NASBENCH201).with_weightless_share(share).marginals().detach().numpy()
        name = f"A draw of the warm-up's distribution ({100 * share:.0f} % without weights)"
        weights[name] = drawn[np.arange(len(EDGES)), choices].prod(1)
    for name, weight in weights.items():
        of_each = weight / weight.sum()
        means = {data: float(of_each @ columns.test[data]) for data in DATA}
        squares = {data: float(of_each @ (columns.test[data] - means[data]) ** 2) for data in DATA}
        count = int((weight > 0).sum())
        yield {"name": name, "architectures": count, "mean": means, "std": {d: s**0.5 for d, s in squares.items()}}


def _result(folder: Path) -> dict[str, Any]:
    result = read_results([folder / "result.json"])[0]
    if result["kind"] != "search" or result.get("space") != "nasbench201":
        raise UserError(f"{folder}: no search on the space nasbench201; only its architectures can be looked up")
    return result


def _named(index: int, columns: ReportColumns) -> dict[str, Any]:
    """Index, text, test accuracies in percent and ranks (1 is the best of 15,625) of an architecture."""
    accuracies = {data: float(columns.test[data][index]) for data in DATA}
    # Architectures of equal accuracy share the better rank.
    ranks = {data: 1 + int((columns.test[data] > accuracy).sum()) for data, accuracy in accuracies.items()}
    return {
        "index": index,
        "architecture": str(architectures()[index]),
        **{f"test_{data}": accuracy for data, accuracy in accuracies.items()},
        **{f"rank_{data}": rank for data, rank in ranks.items()},
    }


def of_result(result: dict[str, Any], columns: ReportColumns) -> dict[str, Any]:
    """True accuracies of the architecture that a search selected, with what the search itself recorded.

    `base` is the method behind a variant, `start` the stage whose π it started from, null for uniform.
    """
    recorded = {key: result[key] for key in (*KEYS, "entropy", "mode_accuracy", "children", "forward_images", "cost")}
    return {
        **recorded,
        "base": base_method(result),
        "start": result["parent"] and result["parent"]["stage"],
        **_named(index_of(from_dict(result["genotype"])), columns),
        "settings_fingerprint": result["provenance"]["settings_fingerprint"],
    }


def of_epochs(folder: Path, result: dict[str, Any], columns: ReportColumns) -> pd.DataFrame:
    """Of every epoch, the start included: what the search then selected, and `expected_…`, the mean of a draw from π.

    The expectation is exact: the sum over all 15,625 architectures. What is selected is the mode of π, or what the
    metrics name where a method selects by other means; it is null as long as nothing speaks for any architecture.
    `base` is the method behind a variant. `forward_images` and `seconds` are what the search had spent by then; the
    seconds leave evaluations out.
    """
    rows, metrics = [], read_run(folder).set_index("epoch")
    for epoch, choices in read_trajectory(folder).groupby("epoch", sort=True):
        probabilities = _probabilities(choices, folder)
        selected = _selected(metrics, int(epoch), probabilities)
        # Probability of each of the 15,625 architectures: the product over its six edges.
        of_each = probabilities[np.arange(len(EDGES)), _choices()].prod(1)
        expected = {f"expected_{data}": float(of_each @ columns.test[data]) for data in DATA}
        rows.append({"epoch": int(epoch), **(_named(index_of(selected), columns) if selected else {}), **expected})
    # Cost of the search up to each epoch, from its metrics.
    spent = metrics.reindex(columns=["forward_images", "seconds"]).assign(seconds=metrics["seconds"].fillna(0).cumsum())
    epochs = pd.DataFrame(rows).reindex(columns=["epoch", *_named(0, columns), *expected]).join(spent, on="epoch")
    epochs = epochs.astype(dict.fromkeys(("index", *(f"rank_{data}" for data in DATA)), "Int64"))
    common = {key: result[key] for key in KEYS} | {"base": base_method(result)}
    return epochs.assign(**common)[[*common, *epochs.columns]]


def _selected(metrics: pd.DataFrame, epoch: int, probabilities: FloatArray) -> Architecture | None:
    """Selection of a search if it had ended after this epoch; None if it had no unique choice."""
    if "genotype" in metrics:
        recorded = metrics["genotype"].get(epoch)
        return from_dict(recorded) if isinstance(recorded, dict) else None
    # Other searches select the mode of π, if there is only one.
    if ((probabilities == probabilities.max(1, keepdims=True)).sum(1) > 1).any():
        return None
    return Architecture(tuple(OPERATIONS[choice] for choice in probabilities.argmax(1)))


def _probabilities(choices: pd.DataFrame, folder: Path) -> FloatArray:
    """π of one epoch, [6 edges, 5 operations]."""
    names = [(*edge, operation) for edge in EDGES for operation in OPERATIONS]
    by_choice = choices.set_index(["slot", "node", "choice"])["probability"]
    if len(by_choice) != len(names) or set(by_choice.index) != set(names):
        raise UserError(f"{folder}: the trajectory of π is not of the space nasbench201; run the search again")
    probabilities: FloatArray = by_choice.loc[names].to_numpy(np.float64).reshape(len(EDGES), len(OPERATIONS))
    return probabilities


@functools.cache
def _choices() -> NDArray[np.int64]:
    """Number of the operation of every edge of all architectures, [15625, 6]."""
    return np.array([[OPERATIONS.index(name) for name in architecture.operations] for architecture in architectures()])
