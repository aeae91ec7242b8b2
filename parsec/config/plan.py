"""Which runs a settings tree asks for, what each starts from, and where their files are."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from parsec.config.base import PUBLISHED, SEARCH_STAGES, Retrain, Search, SearchStageName, expanded, overlap
from parsec.config.settings import Settings
from parsec.errors import GenotypeError, SettingsError
from parsec.space.published import read_genotype
from parsec.space.spaces import SPACES

BATCH = 10
"""Searches per job of `rule run_figures` (half a minute): importing what draws takes as long as drawing one of them."""

Benchmark = Literal["nasbench201", "nasbench101"]
BENCHMARKS: tuple[Benchmark, ...] = get_args(Benchmark)


def on_this_machine(settings: Settings) -> Settings:
    """The settings with the results folder filled in, checked against this machine's files.

    Raises:
        SettingsError: a path with a variable that is not set, or results that overlap images.
        GenotypeError: a file that is missing or holds no genotype.
    """
    results = expanded(settings.results, "results")
    for name, data in settings.datasets.items():
        # Snakemake removes outputs below `results` before it makes them again, so no images may be there.
        folder = getattr(data, "folder", None)
        if folder and overlap(Path(results), Path(expanded(folder, f"datasets.{name}.folder"))):
            raise SettingsError(
                f"results: got {settings.results!r}, which overlaps datasets.{name}.folder ({folder}); "
                "allowed: a folder apart from all images"
            )
    for dataset in settings.retrain:
        for name, file in genotype_files(settings, dataset).items():
            try:
                read_genotype(file)
            except GenotypeError as error:
                raise GenotypeError(f"retrain.{dataset}.published: {name}: {error}") from error
    return settings.model_copy(update={"results": results})


def searches(settings: Settings) -> Iterator[Search]:
    """Every run that learns π: stages × methods and variants × seeds."""
    for stage in SEARCH_STAGES:
        for method in settings.methods:
            if settings.runs(method, stage):
                for seed in settings.seeds:
                    yield _search(settings, stage, method, seed)


def _search(settings: Settings, stage: SearchStageName, method: str, seed: int) -> Search:
    return Search(stage, settings.for_method(method).stages[stage].dataset, method, seed)


def stage_datasets(settings: Settings, stage: SearchStageName) -> list[str]:
    """Data sets of a stage; a variant may have one of its own."""
    return list(dict.fromkeys(run.dataset for run in searches(settings) if run.stage == stage))


def method_names(settings: Settings) -> list[str]:
    """Names that stand for a method in paths: methods, variants, and genotypes that are retrained without a search."""
    published = [genotype.name for stage in settings.retrain.values() for genotype in stage.published]
    return list(dict.fromkeys([*settings.methods, *published]))


def search_batches(settings: Settings, stage: SearchStageName, method: str) -> list[list[Search]]:
    """The searches of a stage and method in batches that one job draws; a new last seed changes only the last batch.

    None on a space whose cells cannot be drawn.
    """
    if not SPACES[settings.space].is_drawn:
        return []
    runs = [_search(settings, stage, method, seed) for seed in settings.seeds]
    return [runs[first : first + BATCH] for first in range(0, len(runs), BATCH)]


def parent(settings: Settings, search: Search) -> Search | None:
    """The run whose π this one starts from; None if it starts from uniform, or from a π that no run learnt."""
    match settings.for_method(search.method).stages[search.stage].init_from:
        case "search" | "finetune" as start:
            return _search(settings, start, search.method, search.seed)
    return None


def lineage(settings: Settings, search: Search | None) -> Iterator[Search]:
    """A run, the run whose π it started from, and so on."""
    while search:
        yield search
        search = parent(settings, search)


def initial_pi(settings: Settings, search: Search) -> str | None:
    """The `pi.parquet` that a run starts from, below the results folder; None if it starts from uniform."""
    if before := parent(settings, search):
        return f"{before.folder}/pi.parquet"
    start = settings.for_method(search.method).stages[search.stage].init_from
    return f"{folder(settings, 'fit')}/pi.parquet" if start == "scores" else None


def retrains(settings: Settings) -> Iterator[Retrain]:
    """Every training from scratch: data sets × genotypes × runs."""
    for dataset, stage in settings.retrain.items():
        origins = [(o, m) for o in stage.origins for m in settings.methods if settings.runs(m, o)]
        searched = [(origin, method, seed) for origin, method in origins for seed in settings.seeds]
        known = [(PUBLISHED, genotype.name, 0) for genotype in stage.published]
        for origin, method, seed in searched + known:
            for run in stage.runs:
                yield Retrain(dataset, origin, method, seed, run)


def genotype_of(settings: Settings, retrain: Retrain) -> Search | None:
    """The search that ended with the genotype; None if it is a published one or in a file."""
    if retrain.origin == PUBLISHED:
        return None
    return _search(settings, retrain.origin, retrain.method, retrain.seed)  # type: ignore[arg-type]


def genotype_files(settings: Settings, dataset: str) -> dict[str, str]:
    """Files of the genotypes that no search ended with and that are retrained on a data set, by name.

    Raises:
        SettingsError: a path with a variable that is not set.
    """
    files = {genotype.name: genotype.file for genotype in settings.retrain[dataset].published}
    where = f"retrain.{dataset}.published"
    return {name: expanded(file, f"{where}: {name}") for name, file in files.items() if file is not None}


def results_with_cost(settings: Settings, dataset: str | None = None) -> list[str]:
    """Records of the trainings on a data set and of all that led to their genotypes; None: of all runs.

    Paths below the results folder: `result.json` of every run, `fit.json` where a search started from fitted scores.
    """
    trainings = [run for run in retrains(settings) if dataset in (None, run.dataset)]
    origins = searches(settings)
    if dataset is not None:
        origins = (run for training in trainings for run in lineage(settings, genotype_of(settings, training)))
    searched = list(dict.fromkeys(origins))
    fit = folder(settings, "fit")
    fitted = any(initial_pi(settings, run) == f"{fit}/pi.parquet" for run in searched)
    folders = [*(run.folder for run in searched), *(run.folder for run in trainings)]
    return [f"{path}/result.json" for path in folders] + ([f"{fit}/fit.json"] if fitted else [])


def folder(settings: Settings, kind: str, name: str = "") -> str:
    """Folder of an experiment below the results folder; all experiments have the first seed."""
    return "/".join(filter(None, [kind, name, f"seed{settings.seeds[0]}"]))


def _table_path(settings: Settings, benchmark: Benchmark) -> str | None:
    path: str | None = getattr(settings.benchmarks, benchmark)
    return None if path is None else expanded(path, f"benchmarks.{benchmark}")


def benchmark_table(settings: Settings, benchmark: Benchmark) -> str | None:
    """A benchmark's table; None if the settings name none, or none is there."""
    with suppress(SettingsError):
        path = _table_path(settings, benchmark)
        return path if path is not None and Path(path).is_file() else None
    return None


def left_out(settings: Settings) -> Iterator[str]:
    """One line per benchmark whose table is asked for and missing."""
    for benchmark in BENCHMARKS:
        try:
            path = _table_path(settings, benchmark)
        except SettingsError as error:
            yield f"what needs {benchmark} is left out: {error}"
            continue
        if path is not None and not Path(path).is_file():
            yield (
                f"what needs {benchmark} is left out: there is no {path}; `parsec import-benchmark` makes it "
                f"from the authors' file, and benchmarks.{benchmark} says where it is"
            )


def scorings(settings: Settings, space: Benchmark) -> dict[str, str]:
    """`scores.parquet` by name of every scoring of a benchmark's space; NAS-Bench-101 is scored from its table."""
    if space == "nasbench101" and benchmark_table(settings, space) is None:
        return {}
    names = [name for name, scores in settings.scores.items() if scores.space == space]
    return {name: f"{folder(settings, 'score', name)}/scores.parquet" for name in names}


def simulations(settings: Settings) -> list[str]:
    """Names of the simulated searches whose benchmark is there."""
    return [name for name, made in settings.simulations.items() if benchmark_table(settings, made.search.space)]


def predictors(settings: Settings) -> list[str]:
    """Names of the searches with a predictor whose benchmark is there; darts needs none."""
    jobs = settings.predictors.items()
    return [name for name, job in jobs if job.problem == "darts" or benchmark_table(settings, job.problem)]


def scores_file(settings: Settings, name: str | None) -> str | None:
    """The scores of this name under `scores`, below the results folder; None without a name."""
    return f"{folder(settings, 'score', name)}/scores.parquet" if name else None


def predictor_pi(settings: Settings, name: str) -> str | None:
    """The π that a pool of these searches samples from, below the results folder; None if none does."""
    if not any(pool.kind == "prior" for pool in settings.predictors[name].pools):
        return None
    return f"{_first_parsec(settings).folder}/pi.parquet"


def proposal_pis(settings: Settings) -> list[str]:
    """The π whose proposals are studied, below the results folder: that of the scores, and those of one search."""
    fitted = [f"{folder(settings, 'fit')}/pi.parquet"] if settings.scores_prior else []
    return [*fitted, f"{_first_parsec(settings).folder}/trajectory.parquet"]


def _first_parsec(settings: Settings) -> Search:
    return next(run for run in searches(settings) if settings.method_of(run.method) == "parsec")
