"""The notes under a table: scale, selection, cost and hardware, all taken from the result files."""

import re
from collections.abc import Iterable

from parsec.report.rows import Row
from parsec.report.search_cost import Result
from parsec.report.text import listing
from parsec.settings.plan import PUBLISHED

STATISTICS = (
    "n is searches × trainings of each genotype found. Mean ± sample standard deviation are over searches, each the "
    "mean of its trainings; of a published genotype over its trainings. No best of several is shown. The CSV adds the "
    "95 % t-interval of the mean over the same values, and the standard deviation over all trainings."
)
SECONDARY = "† quoted from a secondary source, not read in the paper that it comes from."


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def same_data(dataset: str, stand_ins: set[str], published: str) -> bool:
    """Whether our data set is the one behind the published rows: by name, and no stand-in for it."""
    return not stand_ins and _plain(dataset) != "" and _plain(published).startswith(_plain(dataset))


def stand_ins(results: Iterable[Result]) -> set[str]:
    """What the data sets of the results say that they stand in for."""
    return {result["provenance"]["stand_in"] for result in results if result["provenance"]["stand_in"]}


def _network(row: Row) -> str:
    return f"{row.network[1]} cells × {row.network[2]} channels, {row.epochs} {_epochs(row.epochs)}"


def _epochs(count: int) -> str:
    return "epoch" if count == 1 else "epochs"


def _train_images(results: list[Result]) -> set[int]:
    """How many images trainings had, of those that had fewer than there are; older results have the setting only."""
    used = set()
    for result in results:
        limit = result["provenance"]["settings"]["settings"].get("train_images")
        count = result.get("images", {}).get("train", limit)
        if limit is not None and count != result.get("images_available", {}).get("train"):
            used.add(count)
    return used


def scale(rows: list[Row], dataset: str, protocol: dict[str, str] | None) -> list[str]:
    """How large our trainings were and, beside published rows, where they differ from the published protocol."""
    trainings = [result for row in rows for result in row.trainings]
    ours = listing(_network(row) for row in rows)
    limits = _train_images(trainings)
    part = f", {listing(sorted(limits))} training images" if limits else ""
    notes = [f"Ours: {ours}{part}, data set {dataset}."]
    notes += [f"{dataset}: {sentence.rstrip('.')}." for sentence in sorted(stand_ins(trainings))]
    if protocol is None:
        return notes
    theirs = f"{protocol['cells']} cells × {protocol['channels']} channels, {protocol['epochs']} epochs"
    same = same_data(dataset, stand_ins(trainings), protocol["data_set"]) and not limits and ours == theirs
    verdict = (
        "the scale is the same" if same else "data or scale differ, so numbers above and below the rule do not compare"
    )
    return [*notes, f"Published rows: {theirs}, {protocol['data_set']} ({protocol['source']}); {verdict}."]


def selection(rows: list[Row]) -> list[str]:
    """What was selected on what, in the words of the results."""
    sentences = [result["selection"] for row in rows for result in (*row.searches, *row.trainings)]
    return [f"Selection: {sentence.rstrip('.')}." for sentence in dict.fromkeys(sentences)]


def _place(result: Result) -> str:
    """Device and threads of a result: `AMD EPYC, 1 thread`."""
    if result["cost"]["accelerator"]:
        return str(result["cost"]["device"])
    threads = result["provenance"]["threads"]
    return f"{result['provenance']['machine']['cpu']}, {threads} {'thread' if threads == 1 else 'threads'}"


def hardware(rows: list[Row]) -> list[str]:
    """What search cost counts, and on which machines searches and trainings ran."""
    searches = [result for row in rows for result in row.searches]
    trainings = [result for row in rows for result in row.trainings]
    notes = [f"Trained from scratch on {listing(map(_place, trainings))}."]
    if any(row.origin != PUBLISHED for row in rows):
        text = "Search cost is the time for which the device was held, summed over the stages behind a genotype"
        notes.insert(
            0, f"{text}, mean over searches, without training from scratch ({listing(map(_place, searches))})."
        )
    return notes
