"""Command-line interface: one subcommand per pipeline stage; its signature is its options, its docstring its help.

Heavy imports are inside the functions, so that help is quick and threads are limited before torch is loaded.
"""

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import TypeAdapter, ValidationError
from typer.core import TyperGroup

import parsec
from parsec.config import docs, load
from parsec.config.base import Name, Positive, Retrain, Running, Seed
from parsec.config.datasets import PrepareJob
from parsec.config.job_parts import with_image_source
from parsec.config.load import load_job
from parsec.config.retrain import RetrainJob
from parsec.config.search import DepthsJob, MeasureJob, SearchJob
from parsec.config.tabular import PREDICTOR_JOBS, ImportJob, PredictedProblem, ProposalJob, SimulateJob
from parsec.config.training import Stack
from parsec.config.zero_cost import SCORE_JOBS, AblationJob, FitPiJob, KernelsJob, ScoredSpace
from parsec.errors import UserError
from parsec.plugins import source_root
from parsec.runtime import launch
from parsec.runtime.faults import OutputError, as_user_error, release_output
from parsec.runtime.logs import configure, logger
from parsec.runtime.system import keep_freed_memory

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PEOPLE, RULES = "Commands for people", "Stages, as the workflow's rules call them"


class Commands(TyperGroup):
    """A group of commands that suggests the nearest name and lists its commands by panel, in plain text."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own copy of click is private
        """The command that the first argument names.

        Raises:
            UserError: there is none of this name.
        """
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.commands, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{args[0]}: no such command{hint}; see `{ctx.command_path} --help`")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """List the commands under the titles of their panels."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, each in self.commands.items():
            panels.setdefault(getattr(each, "rich_help_panel", PEOPLE), []).append((name, each.get_short_help_str(200)))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)


PLAIN: dict[str, Any] = {"cls": Commands, "rich_markup_mode": None, "pretty_exceptions_enable": False}
app = typer.Typer(**PLAIN, name="parsec", help="Probabilistic neural architecture search.")
settings_app = typer.Typer(**PLAIN, help="Describe the settings.")
app.add_typer(settings_app, name="settings", rich_help_panel=PEOPLE)


def _option(model: Any, metavar: str, allowed: str) -> Callable[..., Any]:  # noqa: ANN401 - an annotated type
    """An option that allows what a type of the settings does."""
    adapter = TypeAdapter(model)

    def convert(text: str) -> Any:  # noqa: ANN401
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            raise typer.BadParameter(f"got {text}; give {allowed}") from error

    return functools.partial(typer.Option, parser=convert, metavar=metavar)


_seed = _option(Seed, "INTEGER", "a whole number from 0 to 2147483647")
_count = _option(Positive, "INTEGER", "1 or more")
_name = _option(Name, "NAME", "at most 64 letters, digits, _ and -, the first a letter or digit")


def as_file(text: str) -> Path:
    """The path of a settings file; the settings themselves would be taken for one, of a strange name."""
    if text.lstrip().startswith("{"):
        raise typer.BadParameter("got settings as text; give the path of a YAML or JSON file with them")
    return Path(text)


Settings = Annotated[Path, typer.Option(parser=as_file, metavar="FILE", help="The job's settings, as YAML or JSON.")]
Data = Annotated[Path, typer.Option(help="Folder of the prepared data set.")]
SeedOption = Annotated[int, _seed(help="Seed of the run.")]
Output = Annotated[Path, typer.Option(help="Folder for the results.")]
OutputFile = Annotated[Path, typer.Option(help="File to write.")]
Stem = Annotated[Path, typer.Option(help="Path to write to, without ending.")]
State = Annotated[Path, typer.Option(help="Folder for checkpoints; removed at the end.")]
Benchmark = Annotated[Path, typer.Option(help="Table of the tabular benchmark (Parquet).")]
Count = Annotated[int, _count()]
Ranks = Annotated[
    int,
    _count(
        help="Processes with a GPU each, across which a search splits sampled architectures and a retraining its "
        "batches; on all nodes of a SLURM job together."
    ),
]
CacheOutputs = Annotated[
    bool, typer.Option("--cache-outputs", help="Keep links to the outputs under --state, to restore them if deleted.")
]
GenotypeName = Annotated[
    str, typer.Option("--genotype", help="Published genotype, such as DARTS_V2; a file with one; or its text.")
]
Retraining = Annotated[Path, typer.Argument(help="Folder of a finished retraining.")]
TrainedOn = Annotated[Path, typer.Option(help="Folder of the prepared data set that it was trained on.")]
Log = Annotated[Path | None, typer.Option(help="File to which messages are appended as well.")]
Threads = Annotated[int | None, _count(help="Processor threads of all ranks; default: all.")]
Inputs = Annotated[list[Path], typer.Argument(help="Files or run folders to read.")]


def command(panel: str, name: str | None = None, group: typer.Typer = app) -> Callable[[Any], Any]:
    """Register a subcommand, with the options that all share: `--log` and `--threads`."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(context: typer.Context, log: Path | None, threads: int | None, **arguments: Any) -> None:  # noqa: ANN401
            if arguments.get("ranks", 1) > 1 and launch.RANKED not in os.environ:
                # This process starts the ranks and is none of them.
                raise typer.Exit(launch.launch(arguments["ranks"], context.obj))
            configure(log)
            _limit_threads(threads)
            keep_freed_memory()
            function(**arguments)

        def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:  # noqa: ANN401
            return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

        own = inspect.signature(function, eval_str=True).parameters.values()
        context = option("context", typer.Context, inspect.Parameter.empty)
        parameters = [*own, context, option("log", Log), option("threads", Threads)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        group.command(name, rich_help_panel=panel)(run)
        return function

    return register


@app.command(rich_help_panel=PEOPLE, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    where: Annotated[bool, typer.Option("--where", help="Print the folder of the workflow and its presets.")] = False,
) -> None:
    """Run the workflow from any folder; other options are Snakemake's, such as --cores 2 --configfile FILE."""
    root = source_root()
    if where:
        print(root)
        return
    has_profile = any(word.startswith("--workflow-profile") for word in context.args)
    profile = [] if has_profile else ["--workflow-profile", str(root / "workflow" / "profiles" / "default")]
    snakefile = ["--snakefile", str(root / "workflow" / "Snakefile")]
    # No process in between, so that Snakemake gets signals and gives the exit code.
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *snakefile, *profile, *context.args])


def _limit_threads(count: int | None) -> None:
    """Set the thread pools before torch is imported: two pools that share a core slow each other down many times."""
    if count is None:
        return
    ranks = int(os.environ["LOCAL_WORLD_SIZE"]) if launch.RANKED in os.environ else 1
    for name in THREAD_VARIABLES:
        os.environ[name] = str(max(count // ranks, 1))


def _running() -> Running:
    """How often to save and to report: from the environment, so that it never triggers a re-run."""
    values = {key: os.environ.get(f"PARSEC_{key.upper()}") for key in ("checkpoint_seconds", "progress_seconds")}
    return load_job(json.dumps({key: _number(text) for key, text in values.items() if text}), Running)


def _number(text: str) -> float | str:
    """Parse as a float if possible; otherwise leave it for settings validation to reject."""
    try:
        return float(text)
    except ValueError:
        return text


@command(PEOPLE)
def table(
    name: Annotated[str, typer.Argument(help="A table of parsec/report/registry.py.")],
    inputs: Inputs,
    output: Stem,
    dataset: Annotated[str | None, _name(help="accuracy: name of the data set.")] = None,
    compare_with: Annotated[
        Literal["cifar10", "imagenet"] | None, typer.Option(help="accuracy: published rows to print under ours.")
    ] = None,
    reference: Annotated[str | None, _name(help="comparison: method that differences are to; default: parsec.")] = None,
) -> None:
    """Make a table from result files, as CSV, Markdown and LaTeX."""
    from parsec.report.registry import TABLES, table_writer

    if name not in TABLES:
        raise UserError(f"table: no table {name!r}; there are {', '.join(TABLES)}")
    options: dict[str, str | None] = {}
    if name == "comparison":
        options = {"reference": reference or "parsec"}
    elif reference:
        raise UserError(f"--reference: only for the table comparison, not {name}")
    if name == "accuracy":
        if dataset is None:
            raise UserError("--dataset: missing; the table accuracy is of one data set")
        options = {"dataset": dataset, "compare_with": compare_with}
    elif dataset or compare_with:
        raise UserError(f"--dataset and --compare-with: only for the table accuracy, not {name}")
    table_writer(name, **options)(inputs, output)


@command(PEOPLE)
def figure(
    name: Annotated[str, typer.Argument(help="runs (π and cells of every search), or entropy, accuracy, cost, …")],
    inputs: Inputs,
    output: Stem,
) -> None:
    """Draw a figure as SVG, PDF and PNG, with its numbers as CSV; of `runs`, the output is a folder."""
    from parsec.report.registry import FIGURES, figure_writer, plot_runs

    if name == "runs":
        plot_runs(inputs, output)
        return
    if name not in FIGURES:
        raise UserError(f"figure: no figure {name!r}; there are runs, {', '.join(FIGURES)}")
    figure_writer(name)(inputs, output)


@command(PEOPLE)
def complexity(
    genotype: Annotated[str, typer.Argument(help="Name of a published genotype, a file with one, or its text.")],
    network: Annotated[Literal["cifar", "imagenet"], typer.Option()],
    cells: Count,
    channels: Count,
    classes: Annotated[int | None, _count(help="Default: 10 (cifar) or 1000 (imagenet).")] = None,
    image_size: Annotated[int | None, _count(help="Pixels; default: 32 (cifar) or 224 (imagenet).")] = None,
) -> None:
    """Print parameters and multiply-adds of a genotype as JSON (no auxiliary head)."""
    from parsec.network.spaces import child_cost
    from parsec.space.published import read_architecture

    size = {"stem": network, "cells": cells, "channels": channels}
    checked = load_job(json.dumps(size), Stack)
    default_classes, default_size = {"cifar": (10, 32), "imagenet": (1000, 224)}[network]
    classes, image_size = classes or default_classes, image_size or default_size
    cost = child_cost(read_architecture(genotype), checked, classes, image_size)
    print(json.dumps({**cost._asdict(), **size, "classes": classes, "image_size": image_size}))


@command(PEOPLE)
def export(
    run: Retraining,
    data: TrainedOn,
    output: Annotated[Path, typer.Option(help="Folder for network.onnx, network.json and example.npz.")],
) -> None:
    """Write a retrained network as ONNX, checked against its own logits."""
    from parsec.export.onnx import export

    export(run, data, output)


@command(PEOPLE)
def predict(
    run: Retraining,
    data: TrainedOn,
    images: Annotated[Path, typer.Option(help="Folder of images, in any layout.")],
    output: Annotated[Path, typer.Option(help="CSV to write.")],
) -> None:
    """Write the classes of the images in a folder, by a retrained network."""
    from parsec.export.predict import predict

    predict(run, data, images, output)


@command(PEOPLE)
def record(
    results: Annotated[Path, typer.Argument(help="Folder of the finished run, or file of `bench --json`.")],
    record: Annotated[
        Path | None, typer.Argument(help="To make: results/records/DATE-NAME, or …/benchmarks/NAME.json.")
    ] = None,
    figure: Annotated[
        list[str] | None, typer.Option(help="File in the folder figures to keep as well, for a page; may be repeated.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Page whose tables are renewed from results/records as well.")
    ] = None,
) -> None:
    """Keep a finished run or benchmark under results/records; given only results/records, renew its pages."""
    from parsec.records.archive import fill_page, keep, keep_benchmark, renew

    if page and record:
        raise UserError("--page: only with the folder of records alone: parsec record results/records --page FILE")
    if figure and (record is None or results.suffix == ".json"):
        raise UserError("--figure: only with the folder of a run that is kept; leave it out")
    if record is None:
        renew(results)
        if page:
            fill_page(page, results)
    elif results.suffix == ".json":
        keep_benchmark(results, record)
    else:
        keep(results, record, figure or ())


@command(PEOPLE)
def bench(
    what: Annotated[Literal["search", "savings", "memory", "retrain", "loader", "gpu"], typer.Argument()],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the numbers, with machine and versions.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="loader: folder of a prepared data set; default: digits. gpu: CIFAR-10's.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option()] = "auto",
    precision: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of activations.")] = "auto",
    rounds: Annotated[int | None, _count(help="Timed rounds; default: what suits the size.")] = None,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's sizes and more rounds.")] = False,
    size: Annotated[
        Literal["digits", "small", "finetune"] | None, typer.Option(help="search, memory: one size only.")
    ] = None,
    contender: Annotated[
        str | None,
        typer.Option(help="search, retrain, loader: only the reference, and contenders whose names have this text."),
    ] = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="The smallest sizes: shows that it runs, no more.")] = False,
    number: Annotated[int | None, typer.Option("--slice", help="gpu: the slice, from 0.")] = None,
    out: Annotated[Path | None, typer.Option(help="gpu: folder of the numbers; the next call goes on there.")] = None,
    work: Annotated[Path, typer.Option(help="gpu: folder of long runs, on this machine.")] = Path("results/gpu"),
    minutes: Annotated[float, typer.Option(help="gpu: time of the slice.")] = 9.0,
) -> None:
    """Measure speed or memory on this machine, against reference implementations and a roofline bound."""
    from parsec.bench.run import bench
    from parsec.bench.workload import BenchJob

    if what == "gpu":
        from parsec.bench.gpu import SLICES
        from parsec.bench.slices import bench_slice

        if number is None or out is None:
            raise UserError("bench gpu: needs --slice and --out; see `parsec bench --help`")
        bench_slice(number, SLICES, out, work, data, minutes)
        return
    if number is not None or out is not None:
        raise UserError("--slice, --out: only with bench gpu; leave them out")
    if paper and tiny:
        raise UserError("--tiny: not allowed with --paper; see `parsec bench --help`")
    job: dict[str, Any] = {"what": what, "device": device, "precision": precision, "rounds": rounds}
    job |= {"paper": paper, "tiny": tiny, "size": size, "contender": contender}
    bench(BenchJob.model_validate(job), data, json_file)


@command(PEOPLE, "import-benchmark")
def import_benchmark(
    settings: Settings,
    source: Annotated[Path, typer.Option(help="The authors' file, or their folder of files.")],
    output: OutputFile,
) -> None:
    """Make the table of NAS-Bench-101 or NAS-Bench-201 from its authors' files."""
    from parsec.tabular.importing import import_benchmark

    import_benchmark(load_job(settings, ImportJob), source, output)


@command(PEOPLE, group=settings_app)
def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Settings files, as given to --configfile.")],
) -> None:
    """Print the complete settings of a run, each with the file that it comes from; later files count more."""
    print(load.show(files), end="")


@command(PEOPLE, group=settings_app)
def reference() -> None:
    """Print the reference of all settings (config/README.md)."""
    print(docs.reference_markdown(), end="")


@command(PEOPLE, group=settings_app)
def schema() -> None:
    """Print the JSON schema of the settings (config/schema.json)."""
    print(docs.schema_json(), end="")


@command(RULES)
def prepare(
    settings: Settings,
    output: Output,
    folder: Annotated[str | None, typer.Option(help="CIFAR: folder of the images, not that of the settings.")] = None,
    order: Annotated[
        list[str] | None, typer.Option(help="CIFAR: a source, in the order in which they are tried; repeatable.")
    ] = None,
) -> None:
    """Turn raw images into memory-mapped shards, split into train, validation and test."""
    from parsec.data.prepare import prepare

    prepare(with_image_source(load_job(settings, PrepareJob), {"folder": folder, "order": order or None}), output)


@command(RULES)
def search(
    settings: Settings,
    data: Data,
    seed: SeedOption,
    output: Output,
    state: State,
    init_pi: Annotated[Path | None, typer.Option(help="pi.parquet to start from; default: uniform.")] = None,
    ranks: Ranks = 1,
    cache_outputs: CacheOutputs = False,
) -> None:
    """Learn π in one stage: search, finetune or transfer."""
    from parsec.search.run import search

    search(load_job(settings, SearchJob), data, seed, output, state, init_pi, _running(), cache_outputs)


@command(RULES)
def retrain(
    settings: Settings,
    data: Data,
    genotype: GenotypeName,
    origin: Annotated[str, _name(help="Stage that selected it, or `published`.")],
    method: Annotated[str, _name(help="Method that selected it, or its name.")],
    seed: SeedOption,
    run: Annotated[int, _seed(help="Seed of this training.")],
    output: Output,
    state: State,
    ranks: Ranks = 1,
    cache_outputs: CacheOutputs = False,
) -> None:
    """Train a genotype from scratch and test it; the only command that opens the test set."""
    from parsec.retrain.run import retrain

    job = load_job(settings, RetrainJob)
    names = Retrain(job.dataset, origin, method, seed, run)
    retrain(job, names, data, genotype, output, state, _running(), cache_outputs)


@command(RULES)
def score(
    settings: Settings,
    data: Data,
    seed: SeedOption,
    output: Output,
    state: State,
    benchmark: Annotated[
        Path | None, typer.Option(help="nasbench101: table whose architectures are scored; else: sampled.")
    ] = None,
) -> None:
    """Score architectures without training them (NASWOT), on one minibatch."""
    from parsec.zero_cost.score import score

    job = load_job(settings, SCORE_JOBS[load_job(settings, ScoredSpace).space])
    score(job, data, seed, output, state, _running(), benchmark)


@command(RULES, "fit-pi")
def fit_pi(
    settings: Settings, scores: Annotated[Path, typer.Option(help="scores.parquet of a scoring.")], output: Output
) -> None:
    """Fit π to the best of scored architectures, for a search to start from."""
    from parsec.zero_cost.fit_prior import fit_pi

    fit_pi(load_job(settings, FitPiJob), scores, output)


@command(RULES)
def ablate(settings: Settings, data: Data, seed: SeedOption, output: Output, state: State) -> None:
    """Score a few networks repeatedly, with other images, weights and batch sizes."""
    from parsec.zero_cost.ablation import ablate

    ablate(load_job(settings, AblationJob), data, seed, output, state, _running())


@command(RULES)
def kernels(settings: Settings, data: Data, benchmark: Benchmark, seed: SeedOption, output: OutputFile) -> None:
    """Compute NASWOT's kernel matrices across accuracy bins, for a figure."""
    from parsec.zero_cost.kernel_matrices import kernels

    kernels(load_job(settings, KernelsJob), data, benchmark, seed, output)


@command(RULES)
def simulate(
    settings: Settings,
    benchmark: Benchmark,
    seed: SeedOption,
    output: Output,
    scores: Annotated[Path | None, typer.Option(help="scores.parquet that assisted evolution begins with.")] = None,
) -> None:
    """Simulate searches on a tabular benchmark, with many repeats; training is a look-up."""
    from parsec.tabular.simulate import simulate

    simulate(load_job(settings, SimulateJob), benchmark, scores, seed, output)


@command(RULES)
def predictor(
    settings: Settings,
    benchmark: Annotated[Path, typer.Option(help="Table of the benchmark, or scores.parquet of darts.")],
    seed: SeedOption,
    output: Output,
    state: State,
    data: Annotated[Path | None, typer.Option(help="darts: folder of the data set that the scores are of.")] = None,
    pi: Annotated[Path | None, typer.Option(help="pi.parquet that a pool of the kind prior samples from.")] = None,
) -> None:
    """Search a tabular benchmark with a predictor of accuracy, repeatedly, with every pool."""
    from parsec.predictor.search import Sources, search_repeatedly

    job = load_job(settings, PREDICTOR_JOBS[load_job(settings, PredictedProblem).problem])
    search_repeatedly(job, Sources(benchmark, data, pi), seed, output, state, _running())


@command(RULES)
def propose(
    pi: Annotated[list[Path], typer.Argument(help="pi.parquet and trajectory.parquet files.")],
    settings: Settings,
    benchmark: Benchmark,
    seed: SeedOption,
    output: Output,
    state: State,
) -> None:
    """Evaluate a predictor's proposals with importance weights, on NAS-Bench-201; no test column is read."""
    from parsec.predictor.proposal import propose

    propose(load_job(settings, ProposalJob), benchmark, pi, seed, output, state, _running())


@command(RULES)
def measure(
    what: Annotated[Literal["step", "depths"], typer.Argument(help="A search step against K, or methods by depth.")],
    settings: Settings,
    data: Data,
    output: OutputFile,
) -> None:
    """Measure memory and time of a search step, or the memory of search methods against the depth of their networks."""
    from parsec.bench.memory import measure, measure_depths

    if what == "step":
        measure(load_job(settings, MeasureJob), data, output)
    else:
        measure_depths(load_job(settings, DepthsJob), data, output)


@command(RULES)
def lookup(benchmark: Benchmark, output: Stem, runs: Inputs) -> None:
    """Look up the true accuracies of architectures selected by searches on NAS-Bench-201, as JSON and Parquet."""
    from parsec.report.lookup import lookup

    lookup(runs, benchmark, output)


@command(RULES)
def ranking(
    output: OutputFile,
    runs: Inputs,
    benchmark: Annotated[Path | None, typer.Option(help="Table of NAS-Bench-201; without it, `random.ranked`.")] = None,
) -> None:
    """Compare how shared weights rank architectures with the truth, as JSON."""
    from parsec.report.ranking import ranking

    ranking(runs, benchmark, output)


@command(RULES)
def checklist(
    results: Inputs,
    output: OutputFile,
    left_out: Annotated[list[str] | None, typer.Option(help="What the run could not make; repeatable.")] = None,
) -> None:
    """Fill in the NAS best-practice checklist from the records."""
    from parsec.report.checklist import write_checklist

    write_checklist(results, output, left_out or [])


@command(RULES)
def summary(results: Inputs, output: OutputFile) -> None:
    """Write the front page of the report: test error per method, entropy of π, commit, machine and versions."""
    from parsec.report.summary import write_summary

    write_summary(results, output)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"parsec {parsec.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user error is one line on stderr and a non-zero exit code."""
    if "_PARSEC_COMPLETE" in os.environ:
        app(prog_name="parsec")  # a shell asks for completions
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        # A full disk or a closed pipe behind the standard output shows when what was printed is written.
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        user_error = as_user_error(error)
        if user_error is None:
            logger.exception("unexpected; please report it with this log")
            return 1
        if isinstance(user_error, OutputError):
            release_output()
        logger.error("%s", user_error)
        return user_error.exit_code
    return code


def _run(arguments: list[str]) -> int:
    configure(None)
    for argument in arguments:
        argument.encode()  # names that are not UTF-8 are refused before the work
    root = typer.main.get_command(app)
    try:
        # Not `root.main`, which has its own ideas of Ctrl-C and closed pipes.
        with root.make_context("parsec", list(arguments), obj=arguments) as context:
            root.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        where = getattr(error, "ctx", None)
        page = where.command_path if where else " ".join(["parsec", *arguments[:1]])
        raise UserError(f"{_problem(error)}; see `{page} --help`") from None
    return 0


def _problem(error: typer.TyperException) -> str:
    """Message about a command line, in one line that begins with the option."""
    if parameter := getattr(error, "param", None):
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.display_name_raw
        return f"{name}: {error.message.removeprefix('Value error, ') or 'missing'}".rstrip(".")
    if hasattr(error, "possibilities"):
        hint = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return f"{error.option_name}: no such option{hint}"  # type: ignore[attr-defined]
    return error.message.rstrip(".").replace("Missing command", "COMMAND: missing")
