"""Claims of the papers: what a record shows of each, and how numbers become a verdict."""

import csv
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from parsec.errors import UserError
from parsec.plugins import published_folder
from parsec.records.documents import RESULTS_FILE, read_document
from parsec.stats import Estimate, difference_interval, difference_text, interval_of_mean

SETTINGS = "settings.yaml"
HOLDS, FAILS, OPEN = "holds", "does not hold", "no significant difference"
IN_PART, CLOSE, SINGLE = "holds in part", "close, but differs significantly", "one run, no interval"
REDUCED = " at reduced scale"
PAPER_EPOCHS = 600
"""Epochs of retraining on CIFAR-10 in DARTS, which PARSEC is compared with; fewer do not test its numbers."""
FULL = "full: the benchmark's own networks"
REPLAYED = "full: simulated on the table"
ONE_DRAW = "one weight draw"
CELLS_OF_NASBENCH101 = 423_624
BY_SCORE = "DARTS space, a score instead of accuracy"
WORDS = {
    "predictor-all": "scoring the whole space trains fewer",
    "predictor-uniform": "trains more than the whole space",
    "predictor-smart": "recovers what|trains fewer than uniform",
}
"""By claim: the words by which its rows in the table of the predictor's claims are known."""
KENDALL = {
    "kendall": ("cifar10", "CIFAR-10", "half", 15.0),
    "kendall-cifar100": ("cifar100", "CIFAR-100", "all", 0.0),
    "kendall-in16": ("in16", "ImageNet16-120", "all", 0.0),
}
"""By claim: images scored on, data set of the accuracy, training images, and the least accuracy considered."""


class Claim(NamedTuple):
    """A row of `claims.csv`."""

    claim: str
    """Its short name."""
    group: str
    text: str
    published: str
    """As it is printed."""
    value: str
    """The published number that a verdict compares with, if there is one."""
    deviation: str
    """Sample standard deviation of the published number, if it is stated, over `runs`."""
    runs: str
    margin: str
    """Largest difference from `value` that still counts as reproduced, in its unit."""
    certainty: str
    source: str
    open: str
    """Beginning of the entries in the list of pending runs that would answer it."""


class Evidence(NamedTuple):
    """Evidence of one record for one claim."""

    ours: str
    scale: str
    verdict: str


Reader = Callable[[Path, Claim], Evidence | None]
"""From a record and a claim to the evidence; None if the record has no such file or no row on the claim."""


def read_claims() -> list[Claim]:
    """All claims, in the order of the file.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = published_folder() / "claims.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Claim(**row) for row in csv.DictReader(file)]
    except (OSError, TypeError) as error:
        raise UserError(f"{path}: not the list of claims ({error}); restore it from git") from error


def read_table(record: Path, name: str) -> pd.DataFrame:
    """Numbers of a table of the record; empty if it has none of that name."""
    path = record / "tables" / f"{name}.csv"
    try:
        return pd.read_csv(path) if path.is_file() else pd.DataFrame()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a table of numbers ({error}); restore the record from git") from error


def first_row(record: Path, name: str, condition: str) -> "pd.Series[Any] | None":
    """The first row of a table that meets a condition of `DataFrame.query`; None if there is none, or no such table."""
    table = read_table(record, name)
    rows = table if table.empty else table.query(condition)
    return None if rows.empty else rows.iloc[0]


def read_settings(record: Path) -> dict[str, Any]:
    """Settings of the run as they were written, under the names of its version.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = record / SETTINGS
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); restore the record from git") from error
    if not isinstance(settings, dict) or "name" not in settings:
        raise UserError(f"{path}: not the settings of a run; restore the record from git")
    return settings


def title(record: Path) -> str:
    """Title of the run, from its settings."""
    return str(read_settings(record)["name"])


def with_std(mean: float, std: float, unit: str = " %") -> str:
    """`2.86 ± 0.06 %`, with the sample standard deviation; only the mean where there is none."""
    return f"{mean:.2f}{unit}" if pd.isna(std) else f"{mean:.2f} ± {std:.2f}{unit}"


def ends(low: float, high: float) -> str:
    """` [2.80, 2.92]` to follow a mean; empty where there is no interval."""
    return "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]".replace("-", "−")


def verdict_of_interval(low: float, high: float, better: int) -> str:
    """Whether the 95 % interval is on the better side of zero, on the other, or on both; `better` is the sign."""
    if pd.isna(low):
        return SINGLE
    if low <= 0.0 <= high:
        return OPEN
    return HOLDS if (low > 0) == (better > 0) else FAILS


def reproduced(low: float, high: float, value: float, margin: float, better: int) -> str:
    """Whether a mean with this 95 % interval is as good as a published value, within a margin.

    It is if even the worse end of the interval is, and it is not if even the better end is not. In between, the margin
    stays undecided, but the interval may exclude the value itself. `better` is −1 where less is better, 1 where more
    is, 0 where the value itself is the target.
    """
    if pd.isna(low):
        return SINGLE
    worse = {-1: (low - value, high - value), 1: (value - high, value - low)}
    # Distances of the better and the worse end from the value, on its worse side.
    nearest, farthest = worse[better] if better else (max(low - value, value - high), max(high - value, value - low))
    if farthest <= margin:
        return HOLDS
    if nearest > margin:
        return FAILS
    return CLOSE if nearest > 0 else OPEN


def together(verdicts: Collection[str]) -> str:
    """Verdict on a claim from the verdicts of the comparisons that test it."""
    kinds = set(verdicts)
    if kinds == {HOLDS}:
        return HOLDS
    if kinds & {HOLDS, IN_PART}:
        return IN_PART
    return FAILS if FAILS in kinds else OPEN


def retrained(record: Path, claim: Claim) -> Evidence | None:
    """Test error on CIFAR-10 of the architectures of a stage; a verdict only with as many epochs as DARTS trains."""
    origin = {"cifar10-proxy": "search", "cifar10-finetuned": "finetune"}[claim.claim]
    row = first_row(record, "cifar10", f"section == 'ours' and origin == '{origin}' and method == 'parsec'")
    if row is None:
        return None
    n, mean = int(row["searches"]), row["top1_error_mean"]
    # Older records have the deviation over searches in a column of its own.
    std = row.get("top1_error_std_of_search_means", row["top1_error_std"])
    low, high = (math.nan, math.nan) if n == 1 else interval_of_mean(n, mean, std)
    counts = f"n = {_counted(n, 'search')}, {_counted(row['trainings'], 'training')}"
    ours = f"{with_std(mean, std)}{ends(low, high)}, {counts}"
    scale = f"{row['cells']:.0f} cells × {row['channels']:.0f} channels, {row['epochs']:.0f} epochs"
    if row["epochs"] < PAPER_EPOCHS:
        return Evidence(ours, scale, "not shown" + REDUCED)
    return Evidence(ours, scale, reproduced(low, high, float(claim.value), float(claim.margin), -1))


def _counted(count: float, name: str) -> str:
    plural = {"search": "searches", "training": "trainings"}
    return f"{count:.0f} {name if count == 1 else plural[name]}"


def memory(record: Path, claim: Claim) -> Evidence | None:
    """Targets of `bench memory` for one child at a time, and the memory of the executor that `auto` chooses.

    Older records have no measurement of `auto`.
    """
    if record.suffix != ".json":
        return None
    document = read_document(record, "bench")
    sized = [c for c in document["comparisons"] if any(t["quantity"] == "ratio" for t in c["targets"])]
    if not sized:
        return None
    targets = [target for comparison in sized for target in comparison["targets"] if target["quantity"] == "ratio"]
    worst, gpu = max(target["found"] for target in targets), document["provenance"]["machine"]["gpu"]
    ours = f"executor `sequential`: at most {worst:.2f} of the most memory-hungry child's own training"
    verdict = f"{HOLDS if all(target['reached'] for target in targets) else FAILS} with executor `sequential`"
    automatic = [row for c in sized for row in c.get("rows", ()) if row["contender"].startswith("auto ")]
    if automatic:
        most, limit = max(automatic, key=lambda row: float(row["ratio"])), targets[0]["target"]
        ours += f"; executor `auto`: at most {most['ratio']:.2f} ({most['contender']})"
        verdict += f", {HOLDS if most['ratio'] <= limit else FAILS} with `auto`"
    return Evidence(ours, gpu["name"] if gpu else "bytes of tensors, CPU", verdict if gpu else verdict + REDUCED)


def transfer(record: Path, claim: Claim) -> Evidence | None:
    """π learnt on the large network from uniform vs. π fine-tuned there, at equal cost."""
    words = "error from uniform − error fine-tuned:"
    return _difference(record, {"method": "direct", "stage": "finetune"}, "top1_error", 1, words)


def random(record: Path, claim: Claim) -> Evidence | None:
    """Random search vs. PARSEC: test errors of retraining, or accuracies from the benchmark."""
    others = read_table(record, "comparison").get("method", pd.Series(["parsec"]))
    against = f"of random search − {_named(others.iloc[0])}:"
    errors = _difference(record, {"method": "random"}, "top1_error", 1, f"error {against}")
    return errors or _difference(record, {"method": "random"}, "test_cifar10", -1, f"accuracy {against}")


def _named(method: str) -> str:
    """PARSEC, or the name of one of its variants."""
    return "PARSEC" if method == "parsec" else f"`{method}`"


def _difference(record: Path, find: Mapping[str, str], outcome: str, better: int, words: str) -> Evidence | None:
    """A row of the comparison with its first row (PARSEC), paired by seed; `better` is the sign in favour of PARSEC."""
    table, name = read_table(record, "comparison"), f"{outcome}_difference"
    if f"{name}_mean" not in table:
        return None
    rows = table[(table[list(find)] == pd.Series(find)).all(axis=1)].dropna(subset=f"{name}_mean")
    if rows.empty:
        return None
    mean, low, high, n = rows.iloc[0][[f"{name}_{part}" for part in ("mean", "low", "high", "n")]]
    ours = f"{words} {difference_text(mean, low, high)} points, {n:.0f} pairs"
    return Evidence(ours, title(record), verdict_of_interval(low, high, better) + REDUCED)


def collapse(record: Path, claim: Claim) -> Evidence | None:
    """Accuracy of PARSEC's architectures on NAS-Bench-201 vs. the mean of the space."""
    table = read_table(record, "comparison")
    if "test_cifar10_mean" not in table:
        return None
    mean = read_document(record / RESULTS_FILE, "lookup")["mean"]["cifar10"]
    # PARSEC as it is written, if it ran, and the variant that the comparison has in its first row.
    rows = table.drop_duplicates("method").set_index("method")
    shown, verdicts = [], []
    for name in dict.fromkeys(name for name in ("parsec", rows.index[0]) if name in rows.index):
        row = rows.loc[name]
        skips = "" if pd.isna(row["skip_share"]) else f", {100 * row['skip_share']:.0f} % skip connections"
        accuracy = with_std(row["test_cifar10_mean"], row["test_cifar10_std"])
        accuracy += ends(row["test_cifar10_low"], row["test_cifar10_high"])
        shown.append(f"{_named(name)}: {accuracy}{skips}, n = {_counted(row['runs'], 'search')}")
        verdict = verdict_of_interval(row["test_cifar10_low"] - mean, row["test_cifar10_high"] - mean, 1)
        verdicts.append(verdict if name == "parsec" else f"{verdict} with `{name}`")
    ours = f"{'; '.join(shown)}; a random architecture: {mean:.2f} %"
    return Evidence(ours, title(record), ", ".join(verdicts) + REDUCED)


def kendall(record: Path, claim: Claim) -> Evidence | None:
    """τ of the ICML score on NAS-Bench-201, by the protocol of the record that is nearest to the paper's."""
    images, label, trained, above = KENDALL[claim.claim]
    table = read_table(record, "naswot-correlation")
    if table.empty:
        return None
    protocol = (table["trained_on"] == trained) & (table["above"] == above)
    of_data = table["accuracy"].str.startswith(f"{label} ")
    rows = table[(table["score"] == "relu_log_determinant") & protocol & of_data]
    if rows.empty:
        return None
    # Prefer scores on images of the same data set, then validation accuracy.
    nearest = rows.assign(test=rows["accuracy"].str.endswith("test"), other=rows["dataset"] != images)
    row = nearest.sort_values(["other", "test"], kind="stable").iloc[0]
    return _correlated(row, claim, f"{row['accuracy']} accuracy, scored on images of {row['dataset']}", FULL)


def kendall101(record: Path, claim: Claim) -> Evidence | None:
    """τ of the ICML score on NAS-Bench-101, or on the subset of it that the record used."""
    row = first_row(record, "naswot-correlation-nasbench101", "score == 'relu_log_determinant'")
    if row is None:
        return None
    cells = int(row["architectures"])
    whole = cells >= CELLS_OF_NASBENCH101
    scale = FULL if whole else f"a table of {cells} of the benchmark's {CELLS_OF_NASBENCH101:,} cells"
    evidence = _correlated(row, claim, f"validation accuracy, scored on images of {row['dataset']}", scale)
    return evidence if whole else evidence._replace(verdict=evidence.verdict + REDUCED)


def _correlated(row: "pd.Series[Any]", claim: Claim, protocol: str, scale: str) -> Evidence:
    ours = f"{row['tau']:.3f} [{row['low']:.3f}, {row['high']:.3f}], {row['n']:.0f} architectures; {protocol}"
    return Evidence(ours, scale, reproduced(row["low"], row["high"], float(claim.value), float(claim.margin), 0))


def searched(record: Path, claim: Claim) -> Evidence | None:
    """Mean of NASWOT's search vs. the published mean, by the standard error of their difference."""
    condition = "score == 'relu_log_determinant' and method == 'NASWOT' and reached_on == 'cifar10' and split == 'test'"
    candidates = claim.claim.removeprefix("search-")
    row = first_row(record, "naswot-search", f"{condition} and candidates == {candidates}")
    if row is None:
        return None
    runs = int(claim.runs)
    # Older records have one draw of weights and no such column.
    draws = int(row.get("draws", 1))
    measured = Estimate.from_interval(row["low"], row["high"], int(row["n"]) if draws == 1 else draws)
    published = Estimate(float(claim.value), float(claim.deviation) / math.sqrt(runs), runs - 1)
    low, high = difference_interval(measured, published)
    verdict = reproduced(low, high, 0.0, float(claim.margin), 0)
    rests = ONE_DRAW if draws == 1 else f"{draws} weight draws"
    apart = difference_text(measured.mean - published.mean, low, high)
    ours = f"{with_std(row['mean'], row['std'])}, {row['n']:.0f} repeats on {rests}; ours − published: {apart} points"
    return Evidence(ours, FULL, f"{verdict}, on {ONE_DRAW}" if draws == 1 else verdict)


def assisted(record: Path, claim: Claim) -> Evidence | None:
    """Assisted vs. plain evolution at every budget of the table."""
    table = read_table(record, "naswot-evolution")
    if table.empty:
        return None
    rows = table.query("test_of == 'cifar10' and searched_on == 'cifar10'").set_index(["method", "spent"])
    if not {"assisted_evolution", "evolution"} <= set(rows.index.unique("method")):
        return None
    helped, plain = rows.loc["assisted_evolution"], rows.loc["evolution"]
    parts, verdicts = list[str](), list[str]()
    for spent in helped.index:
        means = [Estimate.from_interval(*frame.loc[spent, ["low", "high", "n"]]) for frame in (helped, plain)]
        low, high = difference_interval(*means)
        apart = difference_text(helped["mean"][spent] - plain["mean"][spent], low, high)
        parts.append(f"{spent:.0f} trainings: {helped['mean'][spent]:.2f} − {plain['mean'][spent]:.2f} = {apart}")
        verdicts.append(verdict_of_interval(low, high, 1))
    ours = f"test accuracy (%) after {'; '.join(parts)}; {helped['n'].iloc[0]:.0f} repeats on {ONE_DRAW}"
    return Evidence(ours, REPLAYED, f"{together(verdicts)}, on {ONE_DRAW}")


def predictor(record: Path, claim: Claim) -> Evidence | None:
    """How often the claim holds over problems, data sets, qualities and pools."""
    table = read_table(record, "predictor-claims")
    if table.empty:
        return None
    # A claim that rests on two differences has a row for each.
    rows = table[table["claim"].str.contains(WORDS[claim.claim])]
    rows = rows.drop_duplicates(["problem", "data", "quality", "claim"])
    if rows.empty:
        return None
    held = rows["verdict"].eq(HOLDS)
    parts = [f"on {name} {held[group.index].sum()} of {len(group)}" for name, group in rows.groupby("problem")]
    scale = BY_SCORE if rows["problem"].eq("darts").any() else REPLAYED
    ours = f"qualities and pools for which it holds, each unadjusted: {', '.join(parts)}"
    return Evidence(ours, scale, together([_parse_verdict(verdict) for verdict in rows["verdict"]]))


def _parse_verdict(verdict: str) -> str:
    """A verdict of the table of the predictor's claims, also in the words of older records."""
    if verdict.endswith("not told apart"):
        return OPEN
    return FAILS if verdict.startswith(FAILS) else verdict
