"""The command line: one verb a stage, each a thin call into the part that does the work."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from parsec.errors import UserError
from parsec.runtime import launch
from parsec.settings.load import load_job
from parsec.settings.tree import Running

Arguments = argparse.Namespace
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
    from parsec.data.prepare import prepare
    from parsec.settings.jobs import PrepareJob

    prepare(load_job(arguments.settings, PrepareJob), arguments.output)


def _search(arguments: Arguments) -> None:
    from parsec.search.run import search
    from parsec.settings.jobs import SearchJob

    job = load_job(arguments.settings, SearchJob)
    search(job, arguments.data, arguments.seed, arguments.output, arguments.state, arguments.init_pi, _running())


def _retrain(arguments: Arguments) -> None:
    from parsec.retrain.run import retrain
    from parsec.settings.jobs import RetrainJob

    retrain(
        load_job(arguments.settings, RetrainJob),
        arguments.data,
        arguments.genotype,
        arguments.origin,
        arguments.method,
        arguments.seed,
        arguments.run,
        arguments.output,
        arguments.state,
        _running(),
    )


def _measure(arguments: Arguments) -> None:
    from parsec.search.measure import measure
    from parsec.settings.jobs import MeasureJob

    measure(load_job(arguments.settings, MeasureJob), arguments.data, arguments.output)


def _bench(arguments: Arguments) -> None:
    from parsec.bench.job import BenchJob
    from parsec.bench.run import bench

    given = {name: getattr(arguments, name) for name in ("what", "device", "precision", "rounds", "paper", "tiny")}
    bench(load_job(json.dumps(given), BenchJob), arguments.json)


def _complexity(arguments: Arguments) -> None:
    from parsec.network.complexity import network_cost
    from parsec.settings.training import Network
    from parsec.space.published import named_or_file

    network = {"stem": arguments.network, "cells": arguments.cells, "channels": arguments.channels}
    checked = load_job(json.dumps(network), Network)
    default_classes, default_size = {"cifar": (10, 32), "imagenet": (1000, 224)}[arguments.network]
    classes = _at_least_one("--classes", arguments.classes, default_classes)
    size = _at_least_one("--image-size", arguments.image_size, default_size)
    cost = network_cost(named_or_file(arguments.genotype), checked, classes, size)
    print(json.dumps({**cost._asdict(), **network, "classes": classes, "image_size": size}))


def _table(arguments: Arguments) -> None:
    from parsec.report.tables import write_table

    write_table(arguments.dataset, arguments.compare_with, arguments.results, arguments.output)


def _plot(arguments: Arguments) -> None:
    from parsec.report.figures import FIGURES

    if arguments.name not in FIGURES:
        raise UserError(f"plot: no figure {arguments.name!r}; there are {', '.join(FIGURES)}")
    FIGURES[arguments.name](arguments.inputs, arguments.output)


def _checklist(arguments: Arguments) -> None:
    from parsec.report.checklist import write_checklist

    write_checklist(arguments.results, arguments.output)


def _record(arguments: Arguments) -> None:
    from parsec.records.keep import keep

    keep(arguments.results, arguments.record)


def _settings(arguments: Arguments) -> None:
    from parsec.settings.document import reference_markdown

    print(reference_markdown(), end="")


def _schema(arguments: Arguments) -> None:
    from parsec.settings.document import schema_json

    print(schema_json(), end="")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, action: Callable[[Arguments], None]
) -> argparse.ArgumentParser:
    summary = VERBS[name]
    parser = verbs.add_parser(name, help=summary, description=summary)
    parser.add_argument("--log", type=Path, help="file to which messages are appended as well")
    parser.add_argument("--threads", type=int, help="processor threads of all ranks; default: what the machine has")
    parser.set_defaults(action=action)
    return parser


VERBS = {
    "prepare": "Turn raw images into memory-mapped shards, split into train, validation and test.",
    "search": "Learn π in one stage: search, finetune or transfer.",
    "retrain": "Train a genotype from scratch and test it; the only verb that opens the test set.",
    "measure": "Measure memory and time of a search step.",
    "bench": "Time search, retraining, memory or loading against plain references on this machine.",
    "complexity": "Print parameters and multiply-adds of a genotype as JSON (no auxiliary head).",
    "table": "Write a table of results as CSV, Markdown and LaTeX.",
    "plot": "Draw a figure as SVG, PDF and PNG, with its numbers as CSV.",
    "checklist": "Fill in the NAS best-practice checklist from the records.",
    "record": "Keep a finished run under results/records and renew the index there.",
    "settings": "Print the reference of all settings (config/README.md).",
    "schema": "Print the JSON schema of the settings (config/schema.json).",
}


def _training(parser: argparse.ArgumentParser) -> None:
    """Arguments that both trainers share."""
    parser.add_argument("--settings", required=True, help="the job's settings: JSON text, or a JSON or YAML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--seed", type=int, required=True, help="seed of the search")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--state", type=Path, required=True, help="folder for checkpoints, removed at the end")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m parsec", description="Probabilistic neural architecture search.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    prepare = _verb(verbs, "prepare", _prepare)
    prepare.add_argument("--settings", required=True, help="the job's settings: JSON text, or a JSON or YAML file")
    prepare.add_argument("--output", type=Path, required=True, help="folder for the prepared data set")
    search = _verb(verbs, "search", _search)
    _training(search)
    search.add_argument("--init-pi", type=Path, help="pi.parquet to start from; default: uniform")
    search.add_argument(
        "--ranks", type=int, default=1, help="processes that share the children of a step, each with a GPU of its own"
    )
    retrain = _verb(verbs, "retrain", _retrain)
    _training(retrain)
    retrain.add_argument("--genotype", required=True, help="genotype.json, or the name of a published genotype")
    retrain.add_argument("--origin", required=True, help="stage that found the genotype, or `published`")
    retrain.add_argument("--method", required=True, help="method that found it, or its published name")
    retrain.add_argument("--run", type=int, required=True, help="seed of this training")
    measure = _verb(verbs, "measure", _measure)
    measure.add_argument("--settings", required=True, help="the job's settings: JSON text, or a JSON or YAML file")
    measure.add_argument("--data", type=Path, required=True, help="folder of the prepared data set")
    measure.add_argument("--output", type=Path, required=True, help="file for the measurements (JSON)")
    _add_reporting(verbs)
    return parser


def _add_reporting(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = _verb(verbs, "bench", _bench)
    bench.add_argument("what", choices=("search", "retrain", "memory", "loader"))
    bench.add_argument("--json", type=Path, help="file for the numbers, with machine and versions")
    bench.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    bench.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of activations")
    bench.add_argument("--rounds", type=int, help="timed rounds; default: what suits the size")
    bench.add_argument("--paper", action="store_true", help="the paper's sizes too, and more rounds")
    bench.add_argument("--tiny", action="store_true", help="the smallest network only: does it run at all")
    complexity = _verb(verbs, "complexity", _complexity)
    complexity.add_argument("genotype", metavar="NAME_OR_FILE", help="DARTS_V1, DARTS_V2 or a genotype.json")
    complexity.add_argument("--network", choices=("cifar", "imagenet"), required=True)
    complexity.add_argument("--cells", type=int, required=True)
    complexity.add_argument("--channels", type=int, required=True)
    complexity.add_argument("--classes", type=int, help="default: 10 (cifar) or 1000 (imagenet)")
    complexity.add_argument("--image-size", type=int, help="pixels; default: 32 (cifar) or 224 (imagenet)")
    table = _verb(verbs, "table", _table)
    table.add_argument("dataset", help="name of the data set")
    table.add_argument("--compare-with", choices=("cifar10", "imagenet"), help="published rows to print under ours")
    table.add_argument("--output", type=Path, required=True, help="path without ending")
    table.add_argument("results", type=Path, nargs="+", help="result.json files of searches and retrainings")
    plot = _verb(verbs, "plot", _plot)
    plot.add_argument("name", help="entropy, pi, accuracy, operations, cells, cost or executor")
    plot.add_argument("--output", type=Path, required=True, help="path without ending")
    plot.add_argument("inputs", type=Path, nargs="+", help="run folders or files that the figure shows")
    checklist = _verb(verbs, "checklist", _checklist)
    checklist.add_argument("--output", type=Path, required=True)
    checklist.add_argument("results", type=Path, nargs="+", help="result.json files")
    record = _verb(verbs, "record", _record)
    record.add_argument("results", type=Path, help="folder of the finished run")
    record.add_argument("record", type=Path, help="folder to make, such as results/records/2026-11-22-cifar10")
    _verb(verbs, "settings", _settings)
    _verb(verbs, "schema", _schema)


def _at_least_one(option: str, given: int | None, default: int = 1) -> int:
    if given is not None and given < 1:
        raise UserError(f"{option}: got {given}; give 1 or more")
    return default if given is None else given


def _limit_threads(count: int | None) -> None:
    """Set the thread pools before torch is imported: two pools that share a core slow each other down many times."""
    if count is None:
        return
    _at_least_one("--threads", count)
    ranks = int(os.environ["LOCAL_WORLD_SIZE"]) if launch.RANKED in os.environ else 1
    for name in THREAD_VARIABLES:
        os.environ[name] = str(max(count // ranks, 1))


def _launches(parsed: Arguments) -> bool:
    """Whether this process is to start the ranks of a run, and is none of them."""
    return _at_least_one("--ranks", getattr(parsed, "ranks", 1)) > 1 and launch.RANKED not in os.environ


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; a mistake that the user can mend is one line on stderr and a non-zero exit code."""
    from parsec.runtime.heap import keep_freed_memory
    from parsec.runtime.logs import configure

    given = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args(given)
    logger = logging.getLogger("parsec")
    configure(None)
    try:
        if _launches(parsed):
            return launch.launch(parsed.ranks, given)
        configure(parsed.log)
        _limit_threads(parsed.threads)
        keep_freed_memory()
        parsed.action(parsed)
    except UserError as error:
        logger.error("%s", error)
        return error.exit_code
    except Exception:
        logger.exception("unexpected; please report it with this log")
        return 1
    return 0
