"""Table: true test accuracy of the architecture that every search would hand over, the best by validation."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from parsec.benchmarks import nasbench101, nasbench201
from parsec.errors import UserError
from parsec.predictor import random_search
from parsec.predictor.gain import Interval, interval
from parsec.report.predictor.inputs import RANDOM, Reals, Study, bracketed, read_studies
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated

BEST = "best of the space by validation"
DATA = ("cifar10", "cifar100", "in16")


def tabulate(inputs: Sequence[Path]) -> Tabulated:
    """Pairs of a run's folder and its benchmark → accuracies in percent of the chosen architectures.

    Raises:
        UserError: see `read_studies`.
    """
    found = [(study, dict(_rows(study))) for study in read_studies(inputs) if study.tabular]
    if not found:
        raise UserError("predictor-chosen: no run on a table was given; the architectures of darts have no accuracy")
    names = [name for name in DATA if any(name in row for _, rows in found for row in rows.values())]
    columns = ["validation", *names]
    sections = [
        Section(study.title, [[pool, *(_cell(row, name) for name in columns)] for pool, row in rows.items()])
        for study, rows in found
    ]
    headings = ["Pool", "Validation (%)", *(f"{name} test (%)" for name in names)]
    notes = [
        "Mean over repeats and its 95 % bootstrap interval. The searches see validation accuracy alone.",
        "Without a test accuracy: the table of the benchmark has none.",
    ][: 1 + any(not _tests(study) for study, _ in found)]
    caption = "Accuracy of the architecture chosen by predictor-based search"
    table = Table("predictor-chosen", caption, headings, sections, notes, [], "l" + "r" * (len(headings) - 1))
    return Tabulated(table, pd.DataFrame(line for study, rows in found for line in _numbers(study, rows)))


Row = Mapping[str, Interval]


def _rows(study: Study) -> Iterator[tuple[str, Row]]:
    columns = {"validation": study.accuracies, **_tests(study)}
    for pool, found in study.architectures.items():
        best = np.take_along_axis(found, study.trained(pool).argmax(1)[:, None], axis=1)[:, 0]
        yield pool, {name: interval(values[best]) for name, values in columns.items()}
    order = np.argsort(-study.accuracies, kind="stable")
    shares = random_search.chosen(len(order), study.job.budget)
    yield RANDOM, {name: _known(float(shares @ values[order])) for name, values in columns.items()}
    yield BEST, {name: _known(float(values[order[0]])) for name, values in columns.items()}


def _tests(study: Study) -> dict[str, Reals]:
    if study.job.problem == "nasbench101":
        tests = nasbench101.read_report_columns(study.benchmark)
        return {} if tests is None else {"cifar10": tests}
    return {str(name): values for name, values in nasbench201.read_report_columns(study.benchmark).test.items()}


def _known(value: float) -> Interval:
    """A number that was not estimated."""
    return Interval(value, value, value)


def _cell(row: Row, name: str) -> str:
    found = row.get(name)
    if found is None:
        return ""
    return f"{found.value:.2f}" if found.low == found.high else bracketed(found, 2)


def _numbers(study: Study, rows: Mapping[str, Row]) -> Iterator[dict[str, object]]:
    for pool, row in rows.items():
        for name, found in row.items():
            yield {
                "problem": study.job.problem,
                "data": study.job.target,
                "pool": pool,
                "accuracy": name,
                **found._asdict(),
            }
