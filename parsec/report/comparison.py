"""What result files show about the comparison of methods: one function an item, each with its evidence."""

import pandas as pd

from parsec.report.answers import Answer, Records, distinct
from parsec.report.text import listing
from parsec.settings.plan import PUBLISHED


def _plural(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def same_benchmark(records: Records) -> Answer:
    """One data set, space and training for all methods that are compared."""
    protocol = same_protocol(records)
    text = f"methods: {listing(records.methods)}; {protocol.evidence}"
    if protocol.value == "no":
        return Answer("no", text)
    note = "; published rows in the tables were trained elsewhere, with other code"
    return Answer("yes" if len(records.methods) > 1 else "partly", text + note)


def confounders(records: Records) -> Answer:
    """Hardware and versions."""
    machines, versions = distinct(records.all, "machine"), distinct(records.all, "versions")
    threads = distinct(records.all, "threads")
    text = f"{_plural(len(machines), 'machine')}, {_plural(len(versions), 'set')} of library versions"
    single = len(machines) == len(versions) == len(threads) == 1
    return Answer("yes" if single else "partly", f"{text}, threads a process: {listing(threads)}")


def ablations(records: Records) -> Answer:
    """More than one setting of the same stage and method."""
    if not records.searches:
        return Answer("no", "no search among the results")
    stages = pd.json_normalize(records.searches, max_level=1).groupby(["stage", "method", "dataset"])
    most = stages["provenance.settings_fingerprint"].nunique().max()
    if most > 1:
        return Answer("partly", f"up to {most} settings of one stage are among the results; what they vary is not said")
    return Answer("no", "every stage ran with one setting only")


def same_protocol(records: Records) -> Answer:
    """One setting of the final training and one content of the data a data set."""
    if records.tabular and not records.retrains:
        return Answer("yes", "every genotype was trained by the authors of the benchmark, all in the same way")
    if not records.retrains:
        return Answer("no", "nothing was retrained")
    data_sets = pd.json_normalize(records.retrains, max_level=1).groupby("dataset", sort=False)
    kinds = data_sets[["provenance.settings_fingerprint", "provenance.dataset_hash"]].nunique().max(axis=1)
    if kinds.max() > 1:
        return Answer("no", f"different training settings or data on {listing(kinds.index[kinds > 1])}")
    return Answer("yes", f"one training setting and one data hash on each of {listing(kinds.index)}")


def over_time(records: Records) -> Answer:
    """Performance as a function of time."""
    if not records.searches:
        return Answer("no", "no search among the results")
    return Answer("partly", "accuracy of the mode after every epoch of every search; test error at one budget only")


def random_search(records: Records) -> Answer:
    """Random search at the same budget."""
    if "random" in records.methods:
        return Answer("yes", "random search is one of the methods")
    return Answer("no", f"methods: {listing(records.methods)}")


def several_runs(records: Records) -> Answer:
    """Independent searches and trainings with their seeds; of a benchmark its own trainings count."""
    if records.tabular and not records.retrains:
        searched = {result["seed"] for result in records.tabular}
        text = f"{_plural(len(searched), 'search seed')}; accuracies are means over the benchmark's trainings"
        return Answer("yes" if len(searched) > 1 else "partly", text)
    found = [result for result in records.retrains if result["origin"] != PUBLISHED]
    seeds, runs = ({result[key] for result in found} for key in ("seed", "run"))
    text = f"{_plural(len(seeds), 'search seed')}, {_plural(len(runs), 'training seed')}, {len(found)} trainings"
    enough = (len(seeds) > 1) + (len(runs) > 1)
    return Answer("yes" if enough == 2 else "partly" if enough else "no", text)


def benchmarks(records: Records) -> Answer:
    """Tabular or surrogate benchmarks."""
    if records.tabular:
        return Answer("yes", f"{len(records.tabular)} searches on NAS-Bench-201, whose accuracies are looked up")
    return Answer("no", "no result of a tabular or surrogate benchmark is among the records")
