"""What the command line takes: the verbs and the arguments of each."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from parsec.config.base import Name, Positive, Seed
from parsec.errors import UserError

Arguments = argparse.Namespace
Add = Callable[[str], argparse.ArgumentParser]
"""Adds the verb of a name and gives its parser."""
SETTINGS_HELP = "the job's settings: JSON text, or a JSON or YAML file"
GENOTYPE_HELP = "name of a published genotype, such as DARTS_V2; file with a genotype (JSON or text); or its text"
VERBS = {
    "prepare": "Turn raw images into memory-mapped shards, split into train, validation and test.",
    "search": "Learn π in one stage: search, finetune or transfer.",
    "retrain": "Train a genotype from scratch and test it; the only verb that opens the test set.",
    "score": "Score architectures without training them (NASWOT), on one minibatch.",
    "fit-pi": "Fit π to the best of scored architectures, for a search to start from.",
    "predictor": "Search a tabular benchmark with a predictor of accuracy, again and again, with every pool.",
    "propose": "Weigh children that a predictor proposes in the place of π, on NAS-Bench-201.",
    "import-benchmark": "Make the table of NAS-Bench-101 or NAS-Bench-201 from its authors' files.",
    "ablate": "Score a few networks again and again, with other images, weights and batch sizes.",
    "kernels": "Keep the kernels that scores are read off, of networks of every trained accuracy, for a figure.",
    "simulate": "Replay searches on a tabular benchmark, many repeats each; a training is a look-up.",
    "measure": "Measure memory and time of a search step.",
    "depths": "Measure the memory of search methods against the depth of their networks.",
    "bench": "Measure speed or memory on this machine, beside plain references and the machine's floor.",
    "complexity": "Print parameters and multiply-adds of a genotype as JSON (no auxiliary head).",
    "lookup": "Look up the true accuracies of what searches on NAS-Bench-201 found, as JSON and Parquet.",
    "table": "Write a table of results as CSV, Markdown and LaTeX.",
    "tabulate": "Write a table that files of a study make, as CSV, Markdown and LaTeX.",
    "plot": "Draw a figure as SVG, PDF and PNG, with its numbers as CSV.",
    "draw": "Draw π over time and the cells of every given search, named after stage, method and seed.",
    "export": "Write a retrained network as ONNX, checked against its own logits.",
    "predict": "Write the classes of the images in a folder, by a retrained network.",
    "checklist": "Fill in the NAS best-practice checklist from the records.",
    "record": "Keep a finished run or benchmark under results/records and renew the index there.",
    "settings": "Print the reference of all settings (config/README.md).",
    "schema": "Print the JSON schema of the settings (config/schema.json).",
}


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments."""
        raise UserError(f"{message.removeprefix('argument ')}; see `{self.prog} --help`")


def _as(model: Any, allowed: str) -> Callable[[str], Any]:  # noqa: ANN401 - an annotated type
    """A type of the settings as one of arguments, so that both allow the same."""
    adapter = TypeAdapter(model)

    def convert(text: str) -> Any:  # noqa: ANN401
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(f"got {text}; give {allowed}") from error

    return convert


as_seed, as_count = _as(Seed, "a whole number from 0 to 2147483647"), _as(Positive, "1 or more")
as_name = _as(Name, "at most 64 letters, digits, _ and -, the first a letter or digit")


def parser(actions: Mapping[str, Callable[[Arguments], None]]) -> argparse.ArgumentParser:
    """The parser of all verbs; `action` of what it reads is the verb's own."""
    whole = Parser(prog="python -m parsec", description="Probabilistic neural architecture search.")
    verbs = whole.add_subparsers(required=True, metavar="VERB")

    def add(name: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=VERBS[name], description=VERBS[name])
        verb.add_argument("--log", type=Path, help="file to which messages are appended as well")
        verb.add_argument("--threads", type=as_count, help="processor threads of all ranks; default: all")
        verb.set_defaults(action=actions[name])
        return verb

    for part in (_stages, _studies, _measurements, _reporting, _uses, _pages):
        part(add)
    return whole


def _stages(add: Add) -> None:
    prepare = add("prepare")
    prepare.add_argument("--settings", required=True, help=SETTINGS_HELP)
    prepare.add_argument("--output", type=Path, required=True, help="folder for the prepared data set")
    prepare.add_argument("--folder", help="CIFAR: folder with the images, in place of the settings'")
    prepare.add_argument("--order", nargs="+", help="CIFAR: sources in the order in which they are tried, likewise")
    search = add("search")
    _training(search)
    search.add_argument("--init-pi", type=Path, help="pi.parquet to start from; default: uniform")
    score = add("score")
    _resumable(score)
    score.add_argument("--benchmark", type=Path, help="nasbench101: table whose architectures are scored; else: drawn")
    predictor = add("predictor")
    _resumable(predictor, data=False)
    predictor.add_argument("--benchmark", type=Path, required=True, help="table, or scores.parquet of darts")
    predictor.add_argument("--data", type=Path, help="darts: folder of the data set that the scores are of")
    predictor.add_argument("--pi", type=Path, help="pi.parquet that a pool of the kind prior draws from")
    importing = add("import-benchmark")
    importing.add_argument("--settings", required=True, help=SETTINGS_HELP)
    importing.add_argument("--source", type=Path, required=True, help="the authors' file, or their folder of files")
    importing.add_argument("--output", type=Path, required=True, help="Parquet file for the table")
    retrain = add("retrain")
    _training(retrain)
    retrain.add_argument("--genotype", required=True, help=GENOTYPE_HELP)
    retrain.add_argument("--origin", type=as_name, required=True, help="stage that found the genotype, or `published`")
    retrain.add_argument("--method", type=as_name, required=True, help="method that found it, or the genotype's name")
    retrain.add_argument("--run", type=as_seed, required=True, help="seed of this training")


def _studies(add: Add) -> None:
    fitting = add("fit-pi")
    fitting.add_argument("--settings", required=True, help=SETTINGS_HELP)
    fitting.add_argument("--scores", type=Path, required=True, help="scores.parquet of a scoring")
    fitting.add_argument("--output", type=Path, required=True, help="folder for pi.parquet and fit.json")
    propose = add("propose")
    _resumable(propose, data=False)
    propose.add_argument("--benchmark", type=Path, required=True, help="table of NAS-Bench-201; no test column is read")
    propose.add_argument("--pi", type=Path, nargs="+", required=True, help="pi.parquet and trajectory.parquet files")
    _resumable(add("ablate"))
    kernels = add("kernels")
    kernels.add_argument("--settings", required=True, help=SETTINGS_HELP)
    kernels.add_argument("--data", type=Path, required=True, help="folder of the prepared data set")
    kernels.add_argument("--benchmark", type=Path, required=True, help="table of NAS-Bench-201, for the choice")
    kernels.add_argument("--seed", type=as_seed, required=True, help="seed of choice, images and weights")
    kernels.add_argument("--output", type=Path, required=True, help="Parquet file for the kernels")
    simulate = add("simulate")
    simulate.add_argument("--settings", required=True, help=SETTINGS_HELP)
    simulate.add_argument("--benchmark", type=Path, required=True, help="the benchmark's table; no test column is read")
    simulate.add_argument("--scores", type=Path, help="scores.parquet that assisted evolution begins with")
    simulate.add_argument("--seed", type=as_seed, required=True, help="seed of all repeats")
    simulate.add_argument("--output", type=Path, required=True, help="folder for simulations.parquet")


def _resumable(verb: argparse.ArgumentParser, data: bool = True) -> None:
    """Arguments of the stages that can be stopped and continued."""
    verb.add_argument("--settings", required=True, help=SETTINGS_HELP)
    if data:
        verb.add_argument("--data", type=Path, required=True, help="folder of the prepared data set")
    verb.add_argument("--seed", type=as_seed, required=True, help="seed of the search or the scores")
    verb.add_argument("--output", type=Path, required=True, help="folder for the results")
    verb.add_argument("--state", type=Path, required=True, help="folder for checkpoints, removed at the end")


def _training(verb: argparse.ArgumentParser) -> None:
    """Arguments that both trainers share."""
    _resumable(verb)
    verb.add_argument(
        "--ranks",
        type=as_count,
        default=1,
        help="processes that do the run together, each with a GPU of its own: a search shares children out, a training"
        " from scratch batches; on all nodes of a SLURM job together",
    )
    verb.add_argument(
        "--keep-finished",
        action="store_true",
        help="keep links to the outputs under --state instead, and put them back when the same run is started again",
    )


def _measurements(add: Add) -> None:
    for verb in ("measure", "depths"):
        measure = add(verb)
        measure.add_argument("--settings", required=True, help=SETTINGS_HELP)
        measure.add_argument("--data", type=Path, required=True, help="folder of the prepared data set")
        measure.add_argument("--output", type=Path, required=True, help="file for the measurements (JSON)")
    bench = add("bench")
    bench.add_argument("what", choices=("search", "savings", "memory", "retrain", "loader"))
    bench.add_argument("--json", type=Path, help="file for the numbers, with machine and versions")
    bench.add_argument(
        "--data", type=Path, help="loader: folder of a prepared data set; default: scikit-learn's digits"
    )
    bench.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    bench.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of activations")
    bench.add_argument("--rounds", type=as_count, help="timed rounds; default: what suits the size")
    size = bench.add_mutually_exclusive_group()
    size.add_argument("--paper", action="store_true", help="the paper's sizes and more rounds")
    size.add_argument("--tiny", action="store_true", help="the smallest sizes: shows that it runs, no more")


def _reporting(add: Add) -> None:
    complexity = add("complexity")
    complexity.add_argument("genotype", metavar="GENOTYPE", help=GENOTYPE_HELP)
    complexity.add_argument("--network", choices=("cifar", "imagenet"), required=True)
    complexity.add_argument("--cells", type=as_count, required=True)
    complexity.add_argument("--channels", type=as_count, required=True)
    complexity.add_argument("--classes", type=as_count, help="default: 10 (cifar) or 1000 (imagenet)")
    complexity.add_argument("--image-size", type=as_count, help="pixels; default: 32 (cifar) or 224 (imagenet)")
    table = add("table")
    table.add_argument("dataset", type=as_name, help="name of the data set")
    table.add_argument("--compare-with", choices=("cifar10", "imagenet"), help="published rows to print under ours")
    table.add_argument("--output", type=Path, required=True, help="path without ending")
    table.add_argument("results", type=Path, nargs="+", help="result.json files of searches and retrainings")
    lookup = add("lookup")
    lookup.add_argument("--benchmark", type=Path, required=True, help="table of NAS-Bench-201 (Parquet)")
    lookup.add_argument("--output", type=Path, required=True, help="path without ending")
    lookup.add_argument("runs", type=Path, nargs="+", help="folders of searches")
    tabulate = add("tabulate")
    tabulate.add_argument("name", help="a table of parsec/report/tables/registry.py, such as naswot-correlation")
    tabulate.add_argument("--output", type=Path, required=True, help="path without ending")
    tabulate.add_argument("inputs", type=Path, nargs="+", help="files that the table is made from, in its order")
    plot = add("plot")
    plot.add_argument("name", help="entropy, pi, accuracy, operations, cells, cost, executor or found")
    plot.add_argument("--output", type=Path, required=True, help="path without ending")
    plot.add_argument("inputs", type=Path, nargs="+", help="run folders or files that the figure shows")
    draw = add("draw")
    draw.add_argument("--output", type=Path, required=True, help="folder for the figures")
    draw.add_argument("runs", type=Path, nargs="+", help="folders of searches")


def _uses(add: Add) -> None:
    for name, made in (
        ("export", "folder for network.onnx, network.json and example.npz"),
        ("predict", "CSV to write"),
    ):
        verb = add(name)
        verb.add_argument("run", type=Path, help="folder of a finished retraining")
        verb.add_argument("--data", type=Path, required=True, help="folder of the prepared data set it was trained on")
        verb.add_argument("--output", type=Path, required=True, help=made)
        if name == "predict":
            verb.add_argument("--images", type=Path, required=True, help="folder of images, whatever its layout")


def _pages(add: Add) -> None:
    checklist = add("checklist")
    checklist.add_argument("--output", type=Path, required=True)
    checklist.add_argument("--left-out", action="append", default=[], help="what the run could not make; repeatable")
    checklist.add_argument("results", type=Path, nargs="+", help="result.json files")
    record = add("record")
    record.add_argument("results", type=Path, help="folder of the finished run, or file of bench --json")
    record.add_argument(
        "record", type=Path, help="to make: results/records/DATE-NAME or results/records/benchmarks/NAME.json"
    )
    add("settings")
    add("schema")
