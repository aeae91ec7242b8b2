"""Where every file of the studies on tabular benchmarks lies, and which tables and figures a settings tree asks for."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from parsec.config import outputs, plan
from parsec.config.base import expanded
from parsec.config.predictor import DartsPredictorJob
from parsec.config.settings import Settings
from parsec.config.zero_cost import NasBench201Draws
from parsec.errors import SettingsError

Benchmark = Literal["nasbench201", "nasbench101"]
BENCHMARKS: tuple[Benchmark, ...] = ("nasbench201", "nasbench101")
PUBLISHED = "published:naswot"
"""In the place of a file: the published rows of NASWOT."""
RESULTS = "<results>"


class Shown(NamedTuple):
    """A table or a figure: its name, and the arguments of the verb that makes it, in their order."""

    kind: Literal["tables", "figures"]
    name: str
    arguments: tuple[str, ...]
    """Files of the results, or `benchmark:NAME`, or `PUBLISHED`."""


def seed(settings: Settings) -> int:
    """Seed of scores, of simulated searches and of searches with a predictor: the first one."""
    return settings.seeds[0]


def folder(settings: Settings, kind: str, name: str = "") -> str:
    """Folder of a study's outputs, below the results folder."""
    return "/".join([kind, *([name] if name else []), f"seed{seed(settings)}"])


def asked(settings: Settings, name: Benchmark) -> str | None:
    """Where the settings say that a benchmark's table is, with variables of the environment filled in.

    Raises:
        SettingsError: a variable that is not set.
    """
    given: str | None = getattr(settings.benchmarks, name)
    return None if given is None else expanded(given, f"benchmarks.{name}")


def table_of(settings: Settings, name: Benchmark) -> str | None:
    """A benchmark's table; None if the settings name none, or none is there."""
    with suppress(SettingsError):
        path = asked(settings, name)
        return path if path is not None and Path(path).is_file() else None
    return None


def left_out(settings: Settings) -> Iterator[str]:
    """One line for every benchmark whose table is asked for and not there."""
    for name in BENCHMARKS:
        try:
            path = asked(settings, name)
        except SettingsError as error:
            yield f"what needs {name} is left out: {error}"
            continue
        if path is not None and table_of(settings, name) is None:
            yield (
                f"what needs {name} is left out: there is no {path}; `parsec import-benchmark` makes it from "
                f"the authors' file, and benchmarks.{name} says where it is"
            )


def scorings(settings: Settings) -> list[str]:
    """Names of the scorings that can be made: those of a table that is not there cannot."""
    return [name for name, scores in settings.scores.items() if scores.space != "nasbench101" or _known(settings, name)]


def _known(settings: Settings, name: str) -> bool:
    scores = settings.scores[name]
    return scores.space == "nasbench101" and table_of(settings, "nasbench101") is not None


def simulations(settings: Settings) -> list[str]:
    """Names of the simulated searches whose benchmark is there."""
    return [name for name, made in settings.simulations.items() if table_of(settings, made.search.space)]


def predictors(settings: Settings) -> list[str]:
    """Names of the searches with a predictor whose benchmark is there."""
    return [n for n, made in settings.predictors.items() if made.problem == "darts" or table_of(settings, made.problem)]


def searched_by(settings: Settings, name: str) -> str:
    """What searches with a predictor search: the benchmark's table; of darts the scores that stand in its place."""
    made = settings.predictors[name]
    if isinstance(made, DartsPredictorJob):
        return f"{RESULTS}/{folder(settings, 'score', made.scores)}/scores.parquet"
    return f"benchmark:{made.problem}"


def drawn_from(settings: Settings, name: str) -> str | None:
    """The π that a pool of these searches draws from, below the results folder; None if none does."""
    if not any(pool.kind == "prior" for pool in settings.predictors[name].pools):
        return None
    first = next(run for run in plan.searches(settings) if settings.method_of(run.method) == "parsec")
    return f"{first.folder}/pi.parquet"


def shown(settings: Settings) -> Iterator[Shown]:
    """Every table and figure of the studies that can be made."""
    if table_of(settings, "nasbench201"):
        yield from _found(settings)
        yield from _naswot(settings)
    if scored := _scores(settings, "nasbench101").values():
        yield Shown("tables", "naswot-correlation-nasbench101", ("benchmark:nasbench101", *scored))
    named = predictors(settings)
    tabular = [name for name in named if settings.predictors[name].problem != "darts"]
    if named:
        yield from (Shown("tables", title, _pairs(settings, named)) for title in ("predictor", "predictor-claims"))
        yield Shown("figures", "predictor", _pairs(settings, named))
    if tabular:
        yield Shown("tables", "predictor-chosen", _pairs(settings, tabular))


def _pairs(settings: Settings, names: list[str]) -> tuple[str, ...]:
    """Of every run its folder, then what it searched."""
    pairs = ((f"{RESULTS}/{folder(settings, 'predictor', name)}", searched_by(settings, name)) for name in names)
    return tuple(argument for pair in pairs for argument in pair)


def _found(settings: Settings) -> Iterator[Shown]:
    """What searches on NAS-Bench-201 found."""
    if settings.space == "nasbench201":
        yield Shown("tables", "nasbench201-found", (f"{RESULTS}/lookup/nasbench201.json", PUBLISHED))
        yield Shown("figures", "found", (f"{RESULTS}/lookup/nasbench201.parquet",))
        if len(settings.methods) > 1:
            yield Shown("figures", "found-spending", (f"{RESULTS}/lookup/nasbench201.parquet",))
        fitted = fitted_pi(settings)
        if fitted and any(plan.initial_pi(settings, run) == fitted for run in plan.searches(settings)):
            looked_up = (f"{RESULTS}/lookup/nasbench201.{kind}" for kind in ("json", "parquet"))
            yield Shown("tables", "primed", (*looked_up, f"{RESULTS}/{plan.fit_folder(settings)}/fit.json"))
        if settings.proposal:
            study = (f"{RESULTS}/{folder(settings, 'proposal')}/proposal.parquet",)
            yield from (Shown("tables", "proposal", study), Shown("figures", "proposal", study))


def _naswot(settings: Settings) -> Iterator[Shown]:
    """What NASWOT's paper shows of NAS-Bench-201."""
    table = "benchmark:nasbench201"
    scores = _scores(settings, "nasbench201")
    if scores:
        drawn = [file for name in scores for file in _draws(settings, name)]
        yield Shown("tables", "naswot-correlation", (table, *scores.values()))
        yield Shown("tables", "naswot-search", (table, *drawn))
        yield Shown("figures", "naswot-scatter", (table, *scores.values()))
    if settings.ablation:
        ablation = f"{RESULTS}/{folder(settings, 'ablation')}/ablation.parquet"
        yield Shown("tables", "naswot-ablation", (table, ablation))
        yield Shown("figures", "naswot-ablation", (table, ablation))
    if settings.kernels:
        yield Shown("figures", "naswot-kernels", (f"{RESULTS}/{folder(settings, 'kernels')}/kernels.parquet",))
    searched = [n for n in simulations(settings) if settings.simulations[n].search.space == "nasbench201"]
    files = tuple(f"{RESULTS}/{folder(settings, 'simulate', name)}/simulations.parquet" for name in searched)
    if files:
        assisting = settings.simulations[searched[0]].scores
        beside = [scores[assisting]] if assisting in scores else []
        yield Shown("tables", "naswot-evolution", (table, *files))
        yield Shown("figures", "naswot-cost", (table, files[0], *beside))


def _scores(settings: Settings, space: Benchmark) -> dict[str, str]:
    """File by name of every scoring of a space that can be made."""
    names = (name for name in scorings(settings) if settings.scores[name].space == space)
    return {name: f"{RESULTS}/{folder(settings, 'score', name)}/scores.parquet" for name in names}


def _draws(settings: Settings, name: str) -> list[str]:
    """Files of a scoring of NAS-Bench-201, one per draw of the weights."""
    scores = settings.scores[name]
    count = scores.draws if isinstance(scores, NasBench201Draws) else 1
    return [f"{RESULTS}/score/{name}/seed{seed(settings) + draw}/scores.parquet" for draw in range(count)]


def fitted_pi(settings: Settings) -> str | None:
    """The π that is fitted to scores, below the results folder."""
    return f"{plan.fit_folder(settings)}/pi.parquet" if settings.scores_prior else None


def proposed(settings: Settings) -> list[str]:
    """The π's whose proposals are studied, below the results folder: that of the scores, and those of one search."""
    runs = [run for run in plan.searches(settings) if settings.method_of(run.method) == "parsec"]
    fitted = fitted_pi(settings)
    return [*([fitted] if fitted else []), f"{runs[0].folder}/trajectory.parquet"]


def searched(settings: Settings) -> list[outputs.Search]:
    """Searches whose architectures are looked up."""
    return list(plan.searches(settings)) if settings.space == "nasbench201" else []
