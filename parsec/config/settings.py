"""The complete settings of one run of the workflow."""

import json
import re
from functools import cache
from typing import Annotated, Any, Self, cast, get_args

import yaml
from pydantic import AfterValidator, Field, model_validator

from parsec.config.base import Compute, Config, Method, Name, Place, Positive, Seed, Space, UniqueTuple
from parsec.config.datasets import Dataset
from parsec.config.predictor import Predictors, ProposalJob
from parsec.config.retrain import RetrainStage, check_published
from parsec.config.search import RELAXED, Prior, SearchStage, check_space
from parsec.config.tabular import Simulation
from parsec.config.zero_cost import Ablation, Kernels, Scores, ScoresPrior


def _change(text: str) -> str:
    if not re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)* = \S.*", text):
        raise ValueError(f"got {text!r}; allowed: a key with its whole path and its value, path = value")
    return text


Change = Annotated[str, AfterValidator(_change)]


def path_of(change: str) -> str:
    """The key that is changed, with its whole path."""
    return change.partition(" = ")[0]


def apply(changes: tuple[str, ...], document: dict[str, Any]) -> None:
    """Make the changes in a document of plain mappings.

    Raises:
        KeyError: a path leads through a key that there is not.
    """
    for change in changes:
        path, _, value = change.partition(" = ")
        *sections, key = path.split(".")
        place = document
        for section in sections:
            place = place[section]
            if not isinstance(place, dict):
                raise KeyError(section)
        if key not in place:
            raise KeyError(key)
        place[key] = yaml.safe_load(value)


class Variant(Config):
    """A method under a name of its own, with settings of its own."""

    method: Method = Field(description="the method")
    stages: UniqueTuple[str] | None = Field(None, description="stages that the variant runs; null: all that there are")
    changes: UniqueTuple[Change] = Field(
        description="what it changes, each key with its whole path: `search.estimator.samples = 8` and the like"
    )


def base_method(settings: "Settings", name: str) -> Method:
    """The method behind a name under `methods`."""
    return settings.variants[name].method if name in settings.variants else cast(Method, name)


def runs_stage(settings: "Settings", name: str, stage: str) -> bool:
    """Whether a method or variant runs a stage."""
    chosen = settings.variants[name].stages if name in settings.variants else None
    return getattr(settings, stage) is not None and (chosen is None or stage in chosen)


def settings_of(settings: "Settings", name: str) -> "Settings":
    """The whole tree as a method or variant reads it.

    Raises:
        pydantic.ValidationError: a change leads nowhere or breaks a rule.
        KeyError: the path of a change leads through a key that there is not.
    """
    return _applied(_Cached(settings), settings.variants[name].changes) if name in settings.variants else settings


class _Cached:
    """Settings compared by identity, since a tree holds mappings and has no hash."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    def __hash__(self) -> int:
        return id(self.settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cached) and other.settings is self.settings


@cache
def _applied(held: _Cached, changes: tuple[str, ...]) -> "Settings":
    document = held.settings.model_dump(mode="json")
    apply(changes, document)
    # Checked as a tree of its own; variants of variants there are none.
    document |= {"methods": ["parsec"], "variants": {}}
    return type(held.settings).model_validate_json(json.dumps(document))


def check_scores_prior(settings: "Settings") -> None:
    """A π is fitted to scores of its own space, and only a search that reads a π of that form starts from it.

    Raises:
        ValueError: naming the key, what was given and what is allowed.
    """
    fitted = settings.scores_prior
    scores = settings.scores.get(fitted.scores) if fitted else None
    if fitted and (scores is None or scores.space != settings.space):
        raise ValueError(
            f"scores_prior.scores: got {fitted.scores!r}; allowed: a name under scores of the space {settings.space}"
        )
    if fitted and settings.prior.inputs != "independent":
        raise ValueError(f"prior.inputs: got {settings.prior.inputs}; allowed with scores_prior: independent")
    for stage in ("search", "finetune", "transfer"):
        for name in settings.methods:
            if runs_stage(settings, name, stage):
                _check_start(settings, name, stage)


def _check_start(settings: "Settings", name: str, stage: str) -> None:
    if getattr(settings_of(settings, name), stage).start != "scores":
        return
    if stage != "search" or settings.scores_prior is None or settings.space != "nasbench201":
        raise ValueError(f"{stage}.start: got scores; allowed: in the stage search on nasbench201, with a scores_prior")
    if base_method(settings, name) in RELAXED:
        raise ValueError(f"search.start: got scores; allowed with {name}: uniform, because its π has another form")


def check_proposal(settings: "Settings") -> None:
    """Proposals are studied for the π of a search with PARSEC where all architectures can be summed over.

    Raises:
        ValueError: no such search.
    """
    searched = any(base_method(settings, name) == "parsec" for name in settings.methods)
    if settings.proposal and not (searched and settings.space == "nasbench201"):
        raise ValueError("proposal: allowed: null, unless parsec searches nasbench201, because its π is studied")


def check_predictors(settings: "Settings") -> None:
    """Searches on darts see scores of darts; a pool that draws from π needs a search with PARSEC on its own space.

    Raises:
        ValueError: naming the key, what was given and what is allowed.
    """
    searched = any(base_method(settings, name) == "parsec" for name in settings.methods)
    drawable = searched and settings.prior.factors == "separate" and settings.prior.inputs == "independent"
    for name, made in settings.predictors.items():
        where = f"predictors.{name}"
        if made.problem == "darts":
            scores = settings.scores.get(made.scores)
            if scores is None or scores.space != "darts":
                raise ValueError(
                    f"{where}.scores: got {made.scores!r}; allowed: a name under scores of the space darts"
                )
        if any(pool.kind == "prior" for pool in made.pools) and not (drawable and settings.space == made.problem):
            raise ValueError(
                f"{where}.pools: got the kind prior; allowed where parsec searches {made.problem} with a π of separate "
                "factors and independent inputs, from which it draws"
            )


STAGES = ("search", "finetune", "transfer")
"""Stages that learn π."""


def _plain_line(text: str) -> str:
    if not text.isprintable() or text != text.strip() or re.search(r"[*\\<>`|{}]", text):
        raise ValueError(
            f"got {text!r}; allowed: one line without backticks or any of * \\ < > | {{ }}, no space around it"
        )
    return text


Title = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_plain_line)]
"""Text for pages, without characters that mean something to reStructuredText, Markdown or HTML."""


class Running(Config):
    """How a run behaves; changes no number, so it is in no fingerprint and re-runs nothing."""

    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = Field(
        300.0, description="time between checkpoints, seconds; longer where saving is slow; 0: after every step"
    )
    progress_seconds: Annotated[float, Field(ge=0.0)] = Field(5.0, description="time between progress lines, seconds")
    rerun_on_code_change: bool = Field(True, description="re-run a stage when the code that it executes has changed")


class Measure(Config):
    """The measurement of memory and time of a search step, for the figure."""

    samples: UniqueTuple[Positive] = Field((1, 2, 4, 8, 16), description="values of K that are measured", min_length=1)
    repeats: Positive = Field(5, description="timed steps of each K; the median is shown")
    depths: UniqueTuple[Positive] = Field(
        (), description="`cells` of the networks on which the memory of every method is measured; none: left out"
    )


class Benchmarks(Config):
    """Files of tabular benchmarks. Without a file, what needs it is left out, and the run says so."""

    nasbench201: Place | None = Field(
        None, description="Parquet table of NAS-Bench-201, as `python -m parsec import-benchmark` makes it; null: none"
    )
    nasbench101: Place | None = Field(None, description="the same of NAS-Bench-101")


class Settings(Config):
    """Everything that one run of the workflow computes."""

    name: Title = Field(description="what this run is, in a few words; the title of its report")
    results: Place = Field("results", description="folder of the run's outputs, relative to the working directory")
    space: Space = Field(
        "darts",
        description="search space; on `nasbench201` a network's `cells` are those of a stage, and `retrain` is {}",
    )
    prior: Prior = Prior()
    methods: UniqueTuple[Name] = Field(
        ("parsec",), description="search methods, and names under `variants`", min_length=1
    )
    variants: dict[Name, Variant] = Field({}, description="methods with settings of their own")
    seeds: UniqueTuple[Seed] = Field(description="seeds of the independent searches", min_length=1)
    datasets: dict[Name, Dataset] = Field(description="data sets by the name used in paths and tables")
    search: SearchStage = Field(description="proxy search on a small network")
    finetune: SearchStage | None = Field(None, description="fine-tuning of π on the large network; null: left out")
    transfer: SearchStage | None = Field(None, description="transfer of π to the large data set; null: left out")
    retrain: dict[Name, RetrainStage] = Field(description="retraining, by the name of the data set")
    benchmarks: Benchmarks = Benchmarks()
    scores: dict[Name, Scores] = Field({}, description="training-free scorings by the name used in paths and tables")
    scores_prior: ScoresPrior | None = Field(
        None, description="π fitted to the best of the scored architectures, for `start: scores`; null: left out"
    )
    ablation: Ablation | None = Field(None, description="what a score depends on; null: left out")
    kernels: Kernels | None = Field(None, description="what scores are read off, for a figure; null: left out")
    simulations: dict[Name, Simulation] = Field({}, description="simulated searches by the name used in paths")
    predictors: dict[Name, Predictors] = Field({}, description="searches with a predictor by the name used in paths")
    proposal: ProposalJob | None = Field(
        None, description="children from a predictor's proposal in the place of π, weighed; null: left out"
    )
    measure: Measure = Measure()
    compute: Compute = Compute()
    running: Running = Running()

    @model_validator(mode="after")
    def check_references(self) -> Self:
        """Every name must lead somewhere: data sets, the stage a π comes from, the origins of genotypes."""
        if self.prior.factors == "edges":
            raise ValueError("prior.factors: edges belongs to methods that take it by themselves; choose another")
        self._check_methods()
        self._check_datasets()
        self._check_simulations()
        self._check_starts()
        self._check_origins()
        check_published(self)
        check_scores_prior(self)
        check_proposal(self)
        check_predictors(self)
        return self

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """What the search space does not know is refused before anything is planned."""
        stages = {"search": self.search, "finetune": self.finetune, "transfer": self.transfer}
        networks = {f"{name}.network": stage.network for name, stage in stages.items() if stage}
        check_space(self.space, self.prior, self.compute.executor, networks)
        if self.space != "darts" and self.retrain:
            given = ", ".join(self.retrain)
            raise ValueError(
                f"retrain: got {given}; allowed on {self.space}: {{}}, because its table has the accuracies"
            )
        return self

    def _check_methods(self) -> None:
        known = [*get_args(Method), *self.variants]
        for name in self.methods:
            if name not in known:
                raise ValueError(f"methods: got {name!r}; allowed: {', '.join(known)}")
        for name, variant in self.variants.items():
            if name in get_args(Method):
                raise ValueError(f"variants.{name}: a method has this name already; choose another")
            for stage in variant.stages or ():
                if stage not in STAGES:
                    raise ValueError(f"variants.{name}.stages: got {stage!r}; allowed: {', '.join(STAGES)}")
            self._check_changes(name)

    def _check_changes(self, name: str) -> None:
        where = f"variants.{name}.changes"
        for change in self.variants[name].changes:
            path = path_of(change)
            if path.partition(".")[0] not in (*STAGES, "prior"):
                raise ValueError(f"{where}: {path} is nothing that a search reads; change {', '.join(STAGES)} or prior")
        try:
            changed = settings_of(self, name)
        except KeyError as error:
            raise ValueError(f"{where}: there is no key {error.args[0]!r}; give whole paths") from error
        for stage in STAGES:
            start = getattr(changed, stage).start if runs_stage(self, name, stage) else "uniform"
            if start not in ("uniform", "scores") and not runs_stage(self, name, start):
                raise ValueError(f"variants.{name}.stages: {stage} starts from {start}, which it does not run; add it")

    def _check_datasets(self) -> None:
        used = {"search": self.search, "finetune": self.finetune, "transfer": self.transfer}
        named = {f"{stage}.dataset": s.dataset for stage, s in used.items() if s}
        named |= {f"retrain.{name}": name for name in self.retrain}
        named |= {f"scores.{name}.dataset": scores.dataset for name, scores in self.scores.items()}
        named |= {"ablation.dataset": self.ablation.dataset} if self.ablation else {}
        named |= {"kernels.dataset": self.kernels.dataset} if self.kernels else {}
        for path, name in named.items():
            if name not in self.datasets:
                raise ValueError(f"{path}: no data set {name!r} under datasets; there are {', '.join(self.datasets)}")

    def _check_simulations(self) -> None:
        for name, simulation in self.simulations.items():
            assisted = "assisted_evolution" in simulation.search.methods
            found = self.scores.get(simulation.scores or "")
            if assisted and (found is None or found.space != simulation.search.space):
                space = simulation.search.space
                raise ValueError(
                    f"simulations.{name}.scores: got {simulation.scores!r}; allowed: a name under scores of the space "
                    f"{space}, because assisted_evolution begins with its scores"
                )

    def _check_starts(self) -> None:
        if self.search.start not in ("uniform", "scores"):
            raise ValueError("search.start: the first stage starts from uniform")
        if self.finetune and self.finetune.start == "finetune":
            raise ValueError("finetune.start: a stage cannot start from itself; choose uniform or search")
        if self.transfer and self.transfer.start == "finetune" and not self.finetune:
            raise ValueError("transfer.start: finetune is left out (null); choose uniform or search")

    def _check_origins(self) -> None:
        for name, stage in self.retrain.items():
            for origin in stage.origins:
                if getattr(self, origin) is None:
                    raise ValueError(f"retrain.{name}.origins: the stage {origin} is left out (null)")
