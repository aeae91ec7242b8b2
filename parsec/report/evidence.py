"""What result files show about code and reporting: one function an item, each with its evidence."""

from parsec.report.answers import Answer, Records, distinct
from parsec.report.search_cost import Result, cumulative
from parsec.report.text import cost_text, listing

DETAILS = ("settings", "code_fingerprint", "version", "dataset_hash", "machine", "versions", "threads", "deterministic")


def _code(results: list[Result]) -> Answer:
    if not results:
        return Answer("no", "no such result")
    states = [result["provenance"]["git"] for result in results]
    prints = listing(f"`{text[:12]}`" for text in distinct(results, "code_fingerprint"))
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
    prints = listing(f"`{text}`" for text in distinct(results, "settings_fingerprint"))
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
