"""The command line: one verb a stage, each a thin call into the part that does the work."""

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence

from parsec import studies
from parsec.arguments import Arguments, parser
from parsec.config.base import Running
from parsec.config.load import load_job
from parsec.errors import UserError
from parsec.runtime import launch
from parsec.runtime.faults import OutputError, as_user_error, release_output

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def _running() -> Running:
    """How the run behaves; from the environment, because it must not decide what is re-run."""
    given = {key: os.environ.get(f"PARSEC_{key.upper()}") for key in ("checkpoint_seconds", "progress_seconds")}
    return load_job(json.dumps({key: _number(text) for key, text in given.items() if text}), Running)


def _number(text: str) -> float | str:
    """The number that a text means; any other text as it is, for the settings to refuse by name."""
    try:
        return float(text)
    except ValueError:
        return text


def _prepare(arguments: Arguments) -> None:
    from parsec.config.jobs import PrepareJob, with_image_source
    from parsec.data.prepare import prepare

    job = load_job(arguments.settings, PrepareJob)
    prepare(with_image_source(job, {"folder": arguments.folder, "order": arguments.order}), arguments.output)


def _search(arguments: Arguments) -> None:
    from parsec.config.jobs import SearchJob
    from parsec.search.run import search

    job = load_job(arguments.settings, SearchJob)
    given = (arguments.data, arguments.seed, arguments.output, arguments.state, arguments.init_pi)
    search(job, *given, _running(), arguments.keep_finished)


def _retrain(arguments: Arguments) -> None:
    from parsec.config.jobs import RetrainJob
    from parsec.config.outputs import Retrain
    from parsec.retrain.run import Request, retrain

    given, job = arguments, load_job(arguments.settings, RetrainJob)
    names = Retrain(job.dataset, given.origin, given.method, given.seed, given.run)
    retrain(Request(job, names, given.data, given.genotype, given.output, given.state, _running(), given.keep_finished))


def _measure(arguments: Arguments) -> None:
    from parsec.bench.memory import measure
    from parsec.config.jobs import MeasureJob

    measure(load_job(arguments.settings, MeasureJob), arguments.data, arguments.output)


def _depths(arguments: Arguments) -> None:
    from parsec.bench.memory import measure_depths
    from parsec.config.jobs import DepthsJob

    measure_depths(load_job(arguments.settings, DepthsJob), arguments.data, arguments.output)


def _bench(arguments: Arguments) -> None:
    from parsec.bench.run import bench
    from parsec.bench.workload import BenchJob

    given = {name: getattr(arguments, name) for name in ("what", "device", "precision", "rounds", "paper", "tiny")}
    bench(load_job(json.dumps(given), BenchJob), arguments.data, arguments.json)


def _complexity(arguments: Arguments) -> None:
    from parsec.config.training import Stack
    from parsec.network.spaces import child_cost
    from parsec.space.published import of_any_space

    network = {"stem": arguments.network, "cells": arguments.cells, "channels": arguments.channels}
    checked = load_job(json.dumps(network), Stack)
    default_classes, default_size = {"cifar": (10, 32), "imagenet": (1000, 224)}[arguments.network]
    classes, size = arguments.classes or default_classes, arguments.image_size or default_size
    cost = child_cost(of_any_space(arguments.genotype), checked, classes, size)
    print(json.dumps({**cost._asdict(), **network, "classes": classes, "image_size": size}))


def _table(arguments: Arguments) -> None:
    from parsec.report.tables.accuracy import write_table

    write_table(arguments.dataset, arguments.compare_with, arguments.results, arguments.output)


def _plot(arguments: Arguments) -> None:
    from parsec.report.figures.registry import FIGURES, figure_writer

    if arguments.name not in FIGURES:
        raise UserError(f"plot: no figure {arguments.name!r}; there are {', '.join(FIGURES)}")
    figure_writer(arguments.name)(arguments.inputs, arguments.output)


def _draw(arguments: Arguments) -> None:
    from parsec.report.figures.registry import draw_runs

    draw_runs(arguments.runs, arguments.output)


def _export(arguments: Arguments) -> None:
    from parsec.export.onnx import export

    export(arguments.run, arguments.data, arguments.output)


def _predict(arguments: Arguments) -> None:
    from parsec.export.predict import predict

    predict(arguments.run, arguments.data, arguments.images, arguments.output)


def _checklist(arguments: Arguments) -> None:
    from parsec.report.checklist import write_checklist

    write_checklist(arguments.results, arguments.output, arguments.left_out)


def _record(arguments: Arguments) -> None:
    from parsec.records.archive import keep, keep_benchmark

    act = keep_benchmark if arguments.results.suffix == ".json" else keep
    act(arguments.results, arguments.record)


def _settings(arguments: Arguments) -> None:
    from parsec.config.docs import reference_markdown

    print(reference_markdown(), end="")


def _schema(arguments: Arguments) -> None:
    from parsec.config.docs import schema_json

    print(schema_json(), end="")


def _actions() -> dict[str, Callable[[Arguments], None]]:
    """What every verb does."""
    return {
        "prepare": _prepare,
        "search": _search,
        "retrain": _retrain,
        **studies.actions(_running),
        "measure": _measure,
        "depths": _depths,
        "bench": _bench,
        "complexity": _complexity,
        "table": _table,
        "plot": _plot,
        "draw": _draw,
        "export": _export,
        "predict": _predict,
        "checklist": _checklist,
        "record": _record,
        "settings": _settings,
        "schema": _schema,
    }


def _limit_threads(count: int | None) -> None:
    """Set the thread pools before torch is imported: two pools that share a core slow each other down many times."""
    if count is None:
        return
    ranks = int(os.environ["LOCAL_WORLD_SIZE"]) if launch.RANKED in os.environ else 1
    for name in THREAD_VARIABLES:
        os.environ[name] = str(max(count // ranks, 1))


def _launches(parsed: Arguments) -> bool:
    """Whether this process is to start the ranks of a run, and is none of them."""
    return getattr(parsed, "ranks", 1) > 1 and launch.RANKED not in os.environ


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; a mistake that the user can mend is one line on stderr and a non-zero exit code."""
    logger = logging.getLogger("parsec")
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        # A full disk or a closed pipe behind the standard output shows when what was printed is written.
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        told = as_user_error(error)
        if isinstance(told, OutputError):
            release_output()
        if told is None:
            logger.exception("unexpected; please report it with this log")
            return 1
        logger.error("%s", told)
        return told.exit_code
    return code


def _run(given: Sequence[str]) -> int:
    from parsec.runtime.logs import configure
    from parsec.runtime.system import keep_freed_memory

    configure(None)
    for argument in given:
        argument.encode()  # names that are not UTF-8 are refused before the work
    parsed = parser(_actions()).parse_args(given)
    if _launches(parsed):
        return launch.launch(parsed.ranks, given)
    configure(parsed.log)
    _limit_threads(parsed.threads)
    keep_freed_memory()
    parsed.action(parsed)
    return 0
