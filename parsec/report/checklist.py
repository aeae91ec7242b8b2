"""The NAS best-practice checklist (Lindauer and Hutter, JMLR 21(243), 2020), answered from result files only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from parsec.config.base import PUBLISHED
from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report.inputs import Result, cumulative
from parsec.report.tables.base import Section, Table, cost_text, list_columns, listing
from parsec.report.tables.markup import (
    html_heading,
    html_list,
    html_page,
    html_table,
    html_text,
    markdown_grid,
    markdown_text,
)
from parsec.runtime.outputs import write_outputs


class Answer(NamedTuple):
    """Yes, partly or no, with evidence from the records."""

    value: Literal["yes", "partly", "no"]
    evidence: str


@dataclass(frozen=True)
class Records:
    """All results of a run."""

    searches: list[Result]
    retrains: list[Result]

    @property
    def all(self) -> list[Result]:
        """Searches, then retrainings."""
        return [*self.searches, *self.retrains]

    @property
    def methods(self) -> list[str]:
        """Search methods whose genotypes were retrained, or looked up."""
        trained = {result["method"] for result in self.retrains if result["origin"] != PUBLISHED}
        return sorted(trained | {result["method"] for result in self.tabular})

    @property
    def tabular(self) -> list[Result]:
        """Searches whose genotypes a tabular benchmark has trained."""
        return [result for result in self.searches if result.get("space") == "nasbench201"]


def _distinct(results: list[Result], key: str) -> list[str]:
    """The different values of a key of the provenance, as text, in the order of their first mention."""
    return list(dict.fromkeys(str(result["provenance"][key]) for result in results))


DETAILS = ("settings", "code_fingerprint", "version", "dataset_hash", "machine", "versions", "threads", "deterministic")


def _code(results: list[Result]) -> Answer:
    if not results:
        return Answer("no", "no such result")
    states = [result["provenance"]["git"] for result in results]
    prints = listing(f"`{text[:12]}`" for text in _distinct(results, "code_fingerprint"))
    if any(state is None for state in states):
        return Answer("partly", f"no git commit was recorded; code fingerprints {prints}")
    commits = listing(f"`{state['commit'][:12]}`" for state in states)
    dirty = sum(state["dirty"] for state in states)
    text = f"this package at commit {commits}, code fingerprints {prints}"
    if dirty:
        return Answer("partly", f"{text}; {dirty} of {len(results)} results came from uncommitted changes")
    return Answer("yes", f"{text}; no uncommitted changes")


def _settings(results: list[Result], seed: str) -> Answer:
    """Whether settings and seeds are recorded; `seed` is the key of the latter."""
    if not results:
        return Answer("no", "no such result")
    prints = listing(f"`{text}`" for text in _distinct(results, "settings_fingerprint"))
    seeds = f"{'training' if seed == 'run' else 'search'} seeds {listing(sorted({r[seed] for r in results}))}"
    return Answer("yes", f"every result holds its settings (fingerprints {prints}); {seeds}")


def _whole_cost(records: Records) -> Answer:
    searched, trained = cost_text(cumulative(records.searches)), cost_text(cumulative(records.retrains))
    text = f"search, all stages and seeds: {searched}; training from scratch: {trained}; restarts are included"
    return Answer("yes" if records.searches and records.retrains else "partly", text)


def _setup(records: Records) -> Answer:
    missing = [name for name in DETAILS if any(r["provenance"].get(name) is None for r in records.all)]
    if missing:
        return Answer("partly", f"not in every result: {listing(missing)}")
    cpus = listing(result["provenance"]["machine"]["cpu"] for result in records.all)
    devices = listing(result["cost"]["device"] for result in records.all)
    versions = records.all[0]["provenance"]["versions"]
    text = f"settings, data hashes, versions (Python {versions['python']}, torch {versions['torch']})"
    return Answer("yes", f"{text}, machine ({cpus}; device {devices}), threads and determinism are in every result")


def _plural(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _same_benchmark(records: Records) -> Answer:
    protocol = _same_protocol(records)
    text = f"methods: {listing(records.methods)}; {protocol.evidence}"
    if protocol.value == "no":
        return Answer("no", text)
    note = "; published rows in the tables were trained elsewhere, with other code"
    return Answer("yes" if len(records.methods) > 1 else "partly", text + note)


def _confounders(records: Records) -> Answer:
    machines, versions = _distinct(records.all, "machine"), _distinct(records.all, "versions")
    threads = _distinct(records.all, "threads")
    text = f"{_plural(len(machines), 'machine')}, {_plural(len(versions), 'set')} of library versions"
    single = len(machines) == len(versions) == len(threads) == 1
    return Answer("yes" if single else "partly", f"{text}, threads per process: {listing(threads)}")


def _ablations(records: Records) -> Answer:
    if not records.searches:
        return Answer("no", "no search among the results")
    # An ablation shows as several settings of one stage and method on one data set.
    stages = pd.json_normalize(records.searches, max_level=1).groupby(["stage", "method", "dataset"])
    most = stages["provenance.settings_fingerprint"].nunique().max()
    if most > 1:
        return Answer(
            "partly", f"up to {most} settings of one stage are among the results; what varies is not recorded"
        )
    return Answer("no", "every stage ran with one setting only")


def _same_protocol(records: Records) -> Answer:
    if records.tabular and not records.retrains:
        return Answer("yes", "every genotype was trained by the authors of the benchmark, all in the same way")
    if not records.retrains:
        return Answer("no", "nothing was retrained")
    data_sets = pd.json_normalize(records.retrains, max_level=1).groupby("dataset", sort=False)
    # Per data set, one settings fingerprint and one data hash mean one protocol.
    kinds = data_sets[["provenance.settings_fingerprint", "provenance.dataset_hash"]].nunique().max(axis=1)
    if kinds.max() > 1:
        return Answer("no", f"different training settings or data on {listing(kinds.index[kinds > 1])}")
    return Answer("yes", f"one training setting and one data hash on each of {listing(kinds.index)}")


def _over_time(records: Records) -> Answer:
    if not records.searches:
        return Answer("no", "no search among the results")
    return Answer("partly", "accuracy of the mode after every epoch of every search; test error at one budget only")


def _random_search(records: Records) -> Answer:
    if "random" in records.methods:
        return Answer("yes", "random search (architectures trained alone in the search network) is one of the methods")
    return Answer("no", f"methods: {listing(records.methods)}")


def _several_runs(records: Records) -> Answer:
    # Of a benchmark its own trainings count.
    if records.tabular and not records.retrains:
        searched = {result["seed"] for result in records.tabular}
        text = f"{_plural(len(searched), 'search seed')}; accuracies are means over the benchmark's trainings"
        return Answer("yes" if len(searched) > 1 else "partly", text)
    trainings = [result for result in records.retrains if result["origin"] != PUBLISHED]
    seeds, runs = ({result[key] for result in trainings} for key in ("seed", "run"))
    text = f"{_plural(len(seeds), 'search seed')}, {_plural(len(runs), 'training seed')}, {len(trainings)} trainings"
    enough = (len(seeds) > 1) + (len(runs) > 1)
    return Answer("yes" if enough == 2 else "partly" if enough else "no", text)


def _benchmarks(records: Records) -> Answer:
    if records.tabular:
        return Answer("yes", f"{len(records.tabular)} searches on NAS-Bench-201, whose accuracies are looked up")
    return Answer("no", "no result of a tabular or surrogate benchmark is among the records")


SECTIONS: dict[str, tuple[tuple[str, Callable[[Records], Answer]], ...]] = {
    "Releasing code": (
        (
            "Code of the training pipeline that evaluates the final architectures",
            lambda records: _code(records.retrains),
        ),
        ("Code of the search space", lambda records: _code(records.searches)),
        ("Hyper-parameters and seeds of the final evaluation", lambda records: _settings(records.retrains, "run")),
        ("Code of the NAS method", lambda records: _code(records.searches)),
        ("Hyper-parameters and seeds of the NAS method", lambda records: _settings(records.searches, "seed")),
    ),
    "Comparing methods": (
        ("Same benchmark for all methods: data, split, space, training code", _same_benchmark),
        ("Confounding factors controlled: hardware, library versions, run times", _confounders),
        ("Ablation studies", _ablations),
        ("Same evaluation protocol for all methods", _same_protocol),
        ("Performance compared over time", _over_time),
        ("Comparison with random search", _random_search),
        ("Several runs, with their seeds", _several_runs),
        ("Tabular or surrogate benchmarks", _benchmarks),
    ),
    "Reporting": (
        (
            "How hyper-parameters were tuned, and what that took",
            lambda _: Answer("no", "the records do not show how settings were chosen, nor what that cost"),
        ),
        ("Cost of the whole method, end to end", _whole_cost),
        ("All details of the experimental set-up", _setup),
    ),
}

TITLE = "NAS best-practice checklist"
INTRODUCTION = (
    "After M. Lindauer and F. Hutter, Best Practices for Scientific Research on Neural Architecture Search, JMLR "
    "21(243), 2020, items in short form. Every answer is derived from the result files of this run: {searches} "
    "searches and {retrains} trainings from scratch. What they do not show is answered with no."
)
COLUMNS = list_columns(["Item", "Answer", "Evidence"], "lll")


def _limits(records: Records) -> list[str]:
    """How architectures and weights were selected, and which data stands in for other data."""
    selections = dict.fromkeys(f"{result['kind']}: {result['selection']}" for result in records.all)
    replaced = dict.fromkeys(r["provenance"]["stand_in"] for r in records.all if r["provenance"]["stand_in"])
    return [*selections, *(f"data: {sentence}" for sentence in replaced)]


def write_checklist(results: list[Path], output: Path, left_out: Sequence[str] = ()) -> None:
    """Answer the checklist from result.json files of searches and retrainings, as Markdown and as HTML next to it.

    `left_out` says what the run was asked for and could not make.

    Raises:
        UserError: no result of a search or a retraining, or a damaged one.
    """
    documents = read_results(results)
    records = Records(*([d for d in documents if d["kind"] == kind] for kind in ("search", "retrain")))
    if not records.all:
        raise UserError("the checklist needs result files; give the result.json of searches and retrainings")
    introduction = INTRODUCTION.format(searches=len(records.searches), retrains=len(records.retrains))

    lines, body = [f"# {TITLE}", "", introduction, ""], [f"<p>{html_text(introduction)}</p>"]
    for title, questions in SECTIONS.items():
        rows = [[item, *answer(records)] for item, answer in questions]
        table = Table("checklist", title, COLUMNS, [Section("", rows)], [])
        lines += [f"## {title}", "", *markdown_grid(table), ""]
        body += [html_heading(title), html_table(table)]
    for title, items in {"Selection and data": _limits(records), "Left out": list(left_out)}.items():
        if items:
            lines += [f"## {title}", "", *(f"- {markdown_text(item)}" for item in items), ""]
            body += [html_heading(title), html_list(items)]
    page = html_page(TITLE, body)
    write_outputs({output: "\n".join(lines[:-1]) + "\n", output.with_suffix(".html"): page})
