"""What result files show about good practice: one function an item of the checklist, each with its evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from parsec.report.search_cost import Result, cumulative
from parsec.report.text import cost_text, listing
from parsec.settings.plan import PUBLISHED

DETAILS = ("settings", "code_fingerprint", "version", "dataset_hash", "machine", "versions", "threads", "deterministic")


class Answer(NamedTuple):
    """Yes, partly or no, and what in the records says so."""

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
        """Search methods with retrained genotypes."""
        return sorted({result["method"] for result in self.retrains if result["origin"] != PUBLISHED})


Question = Callable[[Records], Answer]


def _distinct(results: list[Result], key: str) -> list[Any]:
    return list(dict.fromkeys(str(result["provenance"][key]) for result in results))


def _plural(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


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


def _settings(results: list[Result], seeds: str) -> Answer:
    if not results:
        return Answer("no", "no such result")
    prints = listing(f"`{text}`" for text in _distinct(results, "settings_fingerprint"))
    return Answer("yes", f"every result holds its settings (fingerprints {prints}); {seeds}")


def training_code(records: Records) -> Answer:
    """Code of the final training."""
    return _code(records.retrains)


def method_code(records: Records) -> Answer:
    """Code of the search method, and of the space within it."""
    return _code(records.searches)


def training_settings(records: Records) -> Answer:
    """Settings and seeds of the final training."""
    return _settings(records.retrains, f"training seeds {listing(sorted({r['run'] for r in records.retrains}))}")


def method_settings(records: Records) -> Answer:
    """Settings and seeds of the search."""
    return _settings(records.searches, f"search seeds {listing(sorted({r['seed'] for r in records.searches}))}")


def same_benchmark(records: Records) -> Answer:
    """One data set, space and training for all methods that are compared."""
    protocol = same_protocol(records)
    text = f"methods with retrained genotypes: {listing(records.methods)}; {protocol.evidence}"
    if protocol.value == "no":
        return Answer("no", text)
    note = "; published rows in the tables were trained elsewhere, with other code"
    return Answer("yes" if len(records.methods) > 1 else "partly", text + note)


def confounders(records: Records) -> Answer:
    """Hardware and versions."""
    machines, versions = _distinct(records.all, "machine"), _distinct(records.all, "versions")
    threads = _distinct(records.all, "threads")
    text = f"{_plural(len(machines), 'machine')}, {_plural(len(versions), 'set')} of library versions"
    single = len(machines) == len(versions) == len(threads) == 1
    return Answer("yes" if single else "partly", f"{text}, threads a process: {listing(threads)}")


def ablations(records: Records) -> Answer:
    """More than one setting of the same stage and method."""
    variants: dict[tuple[str, str, str], set[str]] = {}
    for result in records.searches:
        key = (result["stage"], result["method"], result["dataset"])
        variants.setdefault(key, set()).add(result["provenance"]["settings_fingerprint"])
    most = max((len(prints) for prints in variants.values()), default=0)
    if most > 1:
        return Answer("partly", f"up to {most} settings of one stage are among the results; what they vary is not said")
    return Answer("no", "every stage ran with one setting only")


def same_protocol(records: Records) -> Answer:
    """One setting of the final training and one content of the data a data set."""
    found: dict[str, set[tuple[str, str]]] = {}
    for result in records.retrains:
        where = result["provenance"]
        found.setdefault(result["dataset"], set()).add((where["settings_fingerprint"], where["dataset_hash"]))
    if not found:
        return Answer("no", "nothing was retrained")
    mixed = [name for name, kinds in found.items() if len(kinds) > 1]
    if mixed:
        return Answer("no", f"different training settings or data on {listing(mixed)}")
    return Answer("yes", f"one training setting and one data hash on each of {listing(found)}")


def over_time(records: Records) -> Answer:
    """Performance as a function of time."""
    if not records.searches:
        return Answer("no", "no search among the results")
    return Answer("partly", "accuracy of the mode after every epoch of every search; test error at one budget only")


def random_search(records: Records) -> Answer:
    """Random search at the same budget."""
    if "random" in records.methods:
        return Answer("yes", "random search is one of the retrained methods")
    return Answer("no", f"retrained methods: {listing(records.methods)}")


def several_runs(records: Records) -> Answer:
    """Independent searches and trainings with their seeds."""
    found = [result for result in records.retrains if result["origin"] != PUBLISHED]
    seeds, runs = ({result[key] for result in found} for key in ("seed", "run"))
    text = f"{_plural(len(seeds), 'search seed')}, {_plural(len(runs), 'training seed')}, {len(found)} trainings"
    enough = (len(seeds) > 1) + (len(runs) > 1)
    return Answer("yes" if enough == 2 else "partly" if enough else "no", text)


def benchmarks(records: Records) -> Answer:
    """Tabular or surrogate benchmarks."""
    return Answer("no", "no result of a tabular or surrogate benchmark is among the records")


def tuning(records: Records) -> Answer:
    """How hyper-parameters were tuned."""
    return Answer("no", "the records do not show how settings were chosen, nor what that cost")


def whole_cost(records: Records) -> Answer:
    """Cost of search and training."""
    searched, trained = cost_text(cumulative(records.searches)), cost_text(cumulative(records.retrains))
    text = f"search, all stages and seeds: {searched}; training from scratch: {trained}; restarts are summed in"
    return Answer("yes" if records.searches and records.retrains else "partly", text)


def setup(records: Records) -> Answer:
    """Everything else about the set-up."""
    missing = [name for name in DETAILS if any(r["provenance"].get(name) is None for r in records.all)]
    if missing:
        return Answer("partly", f"not in every result: {listing(missing)}")
    places = listing(result["provenance"]["machine"]["cpu"] for result in records.all)
    devices = listing(result["cost"]["device"] for result in records.all)
    versions = records.all[0]["provenance"]["versions"]
    text = f"settings, data hashes, versions (Python {versions['python']}, torch {versions['torch']})"
    return Answer("yes", f"{text}, machine ({places}; device {devices}), threads and determinism are in every result")
