"""The tables and figures that a settings tree asks for, and what each is made from."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from parsec.config import plan
from parsec.config.plan import Benchmark
from parsec.config.settings import Settings
from parsec.config.zero_cost import NasBench201Draws

PREDICTOR_FILES = ("trained.parquet", "predictor.json")


class Result(NamedTuple):
    """A file below the results folder; with `files`, a folder of which these are read."""

    path: str
    files: tuple[str, ...] = ()


class BenchmarkTable(NamedTuple):
    """The table of a benchmark, wherever the settings say that it is."""

    benchmark: Benchmark


class PublishedTable(NamedTuple):
    """A table of published results, `config/published/<name>.csv`."""

    name: str


Source = Result | BenchmarkTable | PublishedTable


class ReportItem(NamedTuple):
    """A table or a figure: its name in the registry, and the sources of its command in their order."""

    kind: Literal["tables", "figures"]
    name: str
    sources: tuple[Source, ...]


def experiment_items(settings: Settings) -> Iterator[ReportItem]:
    """Tables and figures on tabular benchmarks and predictors; those whose benchmark is missing are left out."""
    if ranks(settings):
        yield ReportItem("tables", "ranking", (Result("ranking/ranking.json"),))
        yield ReportItem("figures", "ranking", (Result("ranking/ranking.json"),))
    if plan.benchmark_table(settings, "nasbench201"):
        yield from _searched_items(settings)
        yield from _naswot_items(settings)
    if scores := plan.scorings(settings, "nasbench101"):
        files = (Result(path) for path in scores.values())
        yield ReportItem("tables", "naswot-correlation-nasbench101", (BenchmarkTable("nasbench101"), *files))
    names = plan.predictors(settings)
    tabular = [name for name in names if settings.predictors[name].problem != "darts"]
    if names:
        yield ReportItem("tables", "predictor", _predictor_sources(settings, names))
        yield ReportItem("tables", "predictor-claims", _predictor_sources(settings, names))
        yield ReportItem("figures", "predictor", _predictor_sources(settings, names))
    if tabular:
        yield ReportItem("tables", "predictor-chosen", _predictor_sources(settings, tabular))


def predictor_problem(settings: Settings, name: str) -> Source:
    """Problem of searches with a predictor: a benchmark's table, or the scores that replace accuracies on darts."""
    job = settings.predictors[name]
    if job.problem == "darts":
        return Result(f"{plan.folder(settings, 'score', job.scores)}/scores.parquet")
    return BenchmarkTable(job.problem)


def _predictor_sources(settings: Settings, names: list[str]) -> tuple[Source, ...]:
    """Per run its folder, then its problem."""
    runs = {name: Result(plan.folder(settings, "predictor", name), PREDICTOR_FILES) for name in names}
    return tuple(source for name, run in runs.items() for source in (run, predictor_problem(settings, name)))


def _searched_items(settings: Settings) -> Iterator[ReportItem]:
    """Tables and figures of the architectures that searches on NAS-Bench-201 selected."""
    if settings.space != "nasbench201":
        return
    json, parquet = Result("lookup/nasbench201.json"), Result("lookup/nasbench201.parquet")
    yield ReportItem("tables", "nasbench201-found", (json, PublishedTable("naswot")))
    yield ReportItem("figures", "found", (parquet,))
    if len(settings.methods) > 1:
        yield ReportItem("figures", "found-spending", (parquet,))
    fit = plan.folder(settings, "fit")
    if any(plan.initial_pi(settings, run) == f"{fit}/pi.parquet" for run in plan.searches(settings)):
        yield ReportItem("tables", "primed", (json, parquet, Result(f"{fit}/fit.json")))
    if settings.proposal:
        proposal = Result(f"{plan.folder(settings, 'proposal')}/proposal.parquet")
        yield ReportItem("tables", "proposal", (proposal,))
        yield ReportItem("figures", "proposal", (proposal,))


def _naswot_items(settings: Settings) -> Iterator[ReportItem]:
    """Tables and figures of NASWOT's paper on NAS-Bench-201."""
    table = BenchmarkTable("nasbench201")
    scores = {name: Result(path) for name, path in plan.scorings(settings, "nasbench201").items()}
    if scores:
        yield ReportItem("tables", "naswot-correlation", (table, *scores.values()))
        yield ReportItem("tables", "naswot-search", (table, *_score_draws(settings, list(scores))))
        yield ReportItem("figures", "naswot-scatter", (table, *scores.values()))
    if settings.ablation:
        ablation = Result(f"{plan.folder(settings, 'ablation')}/ablation.parquet")
        yield ReportItem("tables", "naswot-ablation", (table, ablation))
        yield ReportItem("figures", "naswot-ablation", (table, ablation))
    if settings.kernels:
        yield ReportItem("figures", "naswot-kernels", (Result(f"{plan.folder(settings, 'kernels')}/kernels.parquet"),))
    names = [n for n in plan.simulations(settings) if settings.simulations[n].search.space == "nasbench201"]
    runs = [Result(f"{plan.folder(settings, 'simulate', name)}/simulations.parquet") for name in names]
    if runs:
        # The cost figure shows the scores that assisted evolution begins with next to the searches that use them.
        assisting = settings.simulations[names[0]].scores
        yield ReportItem("tables", "naswot-evolution", (table, *runs))
        yield ReportItem(
            "figures", "naswot-cost", (table, runs[0], *([scores[assisting]] if assisting in scores else []))
        )


def _score_draws(settings: Settings, names: list[str]) -> Iterator[Result]:
    """Scores of NAS-Bench-201, one file per draw of the weights."""
    for name in names:
        scores = settings.scores[name]
        draws = scores.draws if isinstance(scores, NasBench201Draws) else 1
        for draw in range(draws):
            yield Result(f"score/{name}/seed{settings.seeds[0] + draw}/scores.parquet")


def final_outputs(settings: Settings) -> list[str]:
    """The files at the end of the workflow, below the results folder, beside those of `run_figure_folders`."""
    figures = ["entropy", "accuracy", "operations", *(["executor-search"] if settings.measure.samples else [])]
    figures += ["cost"] if settings.retrain else []
    figures += ["spending"] if len(settings.methods) > 1 else []
    figures += ["depths"] if settings.measure.depths else []
    tables = [*settings.retrain]
    # Of several methods, where something measures what they ended with.
    if len(settings.methods) > 1 and (settings.retrain or looks_up(settings)):
        tables.append("comparison")
    items = [f"{item.kind}/{item.name}.csv" for item in experiment_items(settings)]
    return [
        *(f"tables/{name}.csv" for name in tables),
        *(f"figures/{name}.svg" for name in figures),
        *items,
        "checklist.md",
        "summary.html",
    ]


def looks_up(settings: Settings) -> bool:
    """Whether true accuracies of what the searches select are looked up in a benchmark's table."""
    return settings.space == "nasbench201" and plan.benchmark_table(settings, "nasbench201") is not None


def ranks(settings: Settings) -> bool:
    """Whether the ranking of architectures by shared weights is compared with a truth: a table, or own trainings."""
    shared = any(settings.method_of(name) != "random" for name in settings.methods)
    return shared and (looks_up(settings) or any(settings.for_method(n).search.random.ranked for n in settings.methods))


def run_figure_folders(settings: Settings) -> list[str]:
    """Folders of the figures of single searches, one per batch of seeds."""
    pairs = dict.fromkeys((run.stage, run.method) for run in plan.searches(settings))
    return [
        f"figures/{stage}/{method}/batch{batch}"
        for stage, method in pairs
        for batch in range(len(plan.search_batches(settings, stage, method)))
    ]
