"""Where every file of a run lies, and which files a settings tree asks for; rules and reports read it from here."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from parsec.config.base import expanded, overlap
from parsec.config.jobs import SearchStageName
from parsec.config.outputs import PUBLISHED, SEARCH_STAGES, Retrain, Search
from parsec.config.settings import Settings
from parsec.errors import GenotypeError, SettingsError
from parsec.space.published import named_or_given

BLOCK = 10
"""Seeds of a stage and a method whose figures one job draws (half a minute). Snakemake records all inputs of a job with
every output, so that larger blocks need more disk; the report, one file, shows the first block alone."""


def searches(settings: Settings) -> Iterator[Search]:
    """Every run that learns π: stages × methods and variants × seeds."""
    for stage in SEARCH_STAGES:
        for method in settings.methods:
            if settings.runs(method, stage):
                for seed in settings.seeds:
                    yield _search(settings, stage, method, seed)


def _search(settings: Settings, stage: SearchStageName, method: str, seed: int) -> Search:
    return Search(stage, getattr(settings.for_method(method), stage).dataset, method, seed)


def blocks(settings: Settings) -> Iterator[tuple[str, list[Search]]]:
    """Searches that one job draws, by a name: those of a stage and a method, by their seeds' places in the list.

    A seed added at the end of the list leaves all blocks but the last as they were.
    """
    for (stage, method), runs in groupby(searches(settings), key=lambda run: (run.stage, run.method)):
        block = list(runs)
        for first in range(0, len(block), BLOCK):
            yield f"{stage}_{method}_{first // BLOCK}", block[first : first + BLOCK]


def _start(settings: Settings, search: Search) -> str:
    found: str = getattr(settings.for_method(search.method), search.stage).start
    return found


def parent(settings: Settings, search: Search) -> Search | None:
    """The run whose π this one starts from; None if it starts from uniform, or from a π that no run learnt."""
    start = _start(settings, search)
    return None if start in ("uniform", "scores") else _search(settings, start, search.method, search.seed)  # type: ignore[arg-type]


def initial_pi(settings: Settings, search: Search) -> str | None:
    """The `pi.parquet` that a run starts from, below the results folder; None if it starts from uniform."""
    before = parent(settings, search)
    if before is not None:
        return f"{before.folder}/pi.parquet"
    return f"{fit_folder(settings)}/pi.parquet" if _start(settings, search) == "scores" else None


def fit_folder(settings: Settings) -> str:
    """Folder of the π that is fitted to scores, whose seed is the first one."""
    return f"fit/seed{settings.seeds[0]}"


def retrains(settings: Settings) -> Iterator[Retrain]:
    """Every training from scratch: data sets × genotypes × runs."""
    for dataset, stage in settings.retrain.items():
        origins = [(o, m) for o in stage.origins for m in settings.methods if settings.runs(m, o)]
        found = [(origin, method, seed) for origin, method in origins for seed in settings.seeds]
        known = [(PUBLISHED, given.name, 0) for given in stage.published]
        for origin, method, seed in found + known:
            for run in stage.runs:
                yield Retrain(dataset, origin, method, seed, run)


def genotype_of(settings: Settings, retrain: Retrain) -> Search | None:
    """The run that found the genotype; None if it is a published one or lies in a file."""
    if retrain.origin == PUBLISHED:
        return None
    return _search(settings, retrain.origin, retrain.method, retrain.seed)  # type: ignore[arg-type]


def genotype_files(settings: Settings, dataset: str) -> dict[str, str]:
    """The files of genotypes that no search found and that are retrained on a data set, by their names.

    Raises:
        SettingsError: a path with a variable that is not set, or results that overlap images.
    """
    named = {given.name: given.file for given in settings.retrain[dataset].published}
    where = f"retrain.{dataset}.published"
    return {name: expanded(file, f"{where}: {name}") for name, file in named.items() if file is not None}


def on_this_machine(settings: Settings) -> Settings:
    """The settings with the folder of results filled in, after a look at what they need of this machine.

    Raises:
        SettingsError: a path with a variable that is not set, or results that overlap images.
        GenotypeError: a file that is missing or holds no genotype.
    """
    results = expanded(settings.results, "results")
    for name, data in settings.datasets.items():
        # Outputs below `results` are removed before they are made again, so no images may be there.
        folder = getattr(data, "folder", None)
        if folder and overlap(Path(results), Path(expanded(folder, f"datasets.{name}.folder"))):
            raise SettingsError(
                f"results: got {settings.results!r}, which overlaps datasets.{name}.folder ({folder}); "
                "allowed: a folder apart from all images"
            )
    for dataset in settings.retrain:
        for name, file in genotype_files(settings, dataset).items():
            try:
                named_or_given(file)
            except GenotypeError as error:
                raise GenotypeError(f"retrain.{dataset}.published: {name}: {error}") from error
    return settings.model_copy(update={"results": results})
