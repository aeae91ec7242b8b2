"""The complete settings of one run of the workflow."""

import copy
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self, cast, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from parsec.config.base import (
    RELAXED,
    SEARCH_STAGES,
    Compute,
    Config,
    Method,
    Name,
    PathText,
    Running,
    SearchStageName,
    Seed,
    Space,
    UniqueTuple,
)
from parsec.config.datasets import Dataset
from parsec.config.retrain import RetrainStage
from parsec.config.search import Measure, SearchStage, check_relaxed, check_space
from parsec.config.tabular import Predictors, ProposalJob, Simulation
from parsec.config.zero_cost import Ablation, Kernels, Scores, ScoresPrior
from parsec.space.spaces import SPACES


def _nested(changes: object) -> object:
    # Dotted texts, as earlier versions had them: as items of a list or as keys.
    texts = [text for text in changes if isinstance(text, str)] if isinstance(changes, list | dict) else []
    if dotted := next((text for text in texts if "." in text), None):
        *sections, key = dotted.partition("=")[0].strip().split(".")
        nested = "".join(f"{section}: {{" for section in sections) + f"{key}: ..." + "}" * len(sections)
        raise ValueError(f"got {dotted!r}; write it nested: {{{nested}}}")
    return changes


class Variant(Config):
    """A method under a name of its own, with settings of its own."""

    method: Method = Field(description="the method")
    stages: UniqueTuple[str] | None = Field(
        None, description="stages that the variant runs; null: all configured stages"
    )
    changes: Annotated[dict[str, Any], BeforeValidator(_nested)] = Field(
        description="settings that differ, nested as in the file: `{search: {estimator: {samples: 8}}}` and the like"
    )


NAMED = {"variants", "datasets", "retrain", "scores", "simulations", "predictors"}
"""Sections of named sections, each of which a later file can take away with `NAME: null`."""


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A settings file with what it leaves unsaid: later stages are as `search`, and `NAME: null` takes a name away."""
    complete = dict(document)
    for key in NAMED & complete.keys():
        if isinstance(complete[key], dict):
            complete[key] = {name: section for name, section in complete[key].items() if section is not None}
    search = document.get("search")
    for stage, earlier in (("finetune", "search"), ("transfer", "finetune" if document.get("finetune") else "search")):
        if isinstance(search, dict) and isinstance(document.get(stage), dict):
            complete[stage] = updated(search | {"init_from": earlier}, document[stage])
    return complete


def updated(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes merged into them, section by section, as Snakemake merges its configuration files."""
    from snakemake.utils import update_config  # takes a second to import, which most commands need not wait for

    updated = copy.deepcopy(dict(document))
    update_config(updated, changes)
    return updated


def _plain_line(text: str) -> str:
    if not text.isprintable() or text != text.strip() or re.search(r"[*\\<>`|{}]", text):
        raise ValueError(
            f"got {text!r}; allowed: one line without backticks or any of * \\ < > | {{ }}, no space around it"
        )
    return text


Title = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_plain_line)]
"""Text for pages, without characters that mean something to reStructuredText, Markdown or HTML."""


class Benchmarks(Config):
    """Files of tabular benchmarks. Without a file, what needs it is left out, and the run says so."""

    nasbench201: PathText | None = Field(
        None, description="Parquet table of NAS-Bench-201, as `parsec import-benchmark` makes it; null: none"
    )
    nasbench101: PathText | None = Field(None, description="the same of NAS-Bench-101")


class Settings(Config):
    """Everything that one run of the workflow computes."""

    name: Title = Field("PARSEC", description="what this run is, in a few words; the title of its report")
    results: PathText = Field("results", description="folder of the run's outputs, relative to the working directory")
    space: Space = Field(
        "darts",
        description="search space; on `nasbench201` a network's `cells` are those of a stage, and `retrain` is {}; "
        "one of your own: workflow/docs/own-space.md",
    )
    methods: UniqueTuple[Name] = Field(
        ("parsec",), description="search methods, and names under `variants`", min_length=1
    )
    variants: dict[Name, Variant] = Field({}, description="methods with settings of their own")
    reference: Name = Field(
        "parsec", description="method or variant to which the comparison gives the differences of the others"
    )
    seeds: UniqueTuple[Seed] = Field(
        (0, 1, 2, 3), description="seeds of the independent searches; four, as DARTS runs", min_length=1
    )
    datasets: dict[Name, Dataset] = Field(description="data sets by the name used in paths and tables")
    search: SearchStage = Field(description="proxy search on a small network")
    finetune: SearchStage | None = Field(
        None,
        description="fine-tuning of π on the large network; what it does not say is as in `search`; null: left out",
    )
    transfer: SearchStage | None = Field(
        None, description="transfer of π to the large data set; what it does not say is as in `search`; null: left out"
    )
    retrain: dict[Name, RetrainStage] = Field({}, description="retraining, by the name of the data set")
    benchmarks: Benchmarks = Benchmarks()
    scores: dict[Name, Scores] = Field({}, description="zero-cost scores by the name used in paths and tables")
    scores_prior: ScoresPrior | None = Field(
        None, description="π fitted to the best of the scored architectures, for `init_from: scores`; null: left out"
    )
    ablation: Ablation | None = Field(None, description="what a score depends on; null: left out")
    kernels: Kernels | None = Field(None, description="what scores are read off, for a figure; null: left out")
    simulations: dict[Name, Simulation] = Field({}, description="simulated searches by the name used in paths")
    predictors: dict[Name, Predictors] = Field({}, description="searches with a predictor by the name used in paths")
    proposal: ProposalJob | None = Field(
        None, description="sampling from a predictor's proposal instead of π, with importance weights; null: left out"
    )
    measure: Measure = Measure()
    compute: Compute = Compute()
    running: Running = Running()

    @property
    def stages(self) -> dict[SearchStageName, SearchStage]:
        """The stages that learn π and are not left out, in their order."""
        return {name: stage for name in SEARCH_STAGES if (stage := getattr(self, name)) is not None}

    def method_of(self, name: str) -> Method:
        """The method behind a name under `methods`: itself, or that of the variant."""
        return self.variants[name].method if name in self.variants else cast(Method, name)

    def runs(self, name: str, stage: str) -> bool:
        """Whether a method or variant runs a stage."""
        stages = self.variants[name].stages if name in self.variants else None
        return stage in self.stages and (stages is None or stage in stages)

    def for_method(self, name: str) -> "Settings":
        """The complete settings as a method or variant reads them.

        Raises:
            pydantic.ValidationError: a change of the variant names no key or breaks a rule.
        """
        return self._variant_settings[name] if name in self.variants else self

    @cached_property
    def _variant_settings(self) -> dict[str, "Settings"]:
        merged = {}
        for name, variant in self.variants.items():
            document = updated(self.model_dump(mode="json"), variant.changes)
            # Validated like any settings; a variant has no variants of its own.
            document |= {"methods": ["parsec"], "variants": {}, "reference": "parsec"}
            merged[name] = type(self).model_validate_json(json.dumps(document))
        return merged

    @model_validator(mode="after")
    def check_references(self) -> Self:
        """Every name must lead somewhere: data sets, the stage a π comes from, the origins of genotypes."""
        self._check_methods()
        self._check_datasets()
        self._check_simulations()
        self._check_starts()
        self._check_origins()
        self._check_published()
        self._check_scores_prior()
        self._check_proposal()
        self._check_predictors()
        return self

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """Refuse settings that the search space does not have, before anything is planned."""
        networks = {f"{name}.network": stage.network for name, stage in self.stages.items()}
        check_space(self.space, self.compute.executor, networks)
        check_relaxed(self.space, [self.method_of(name) for name in self.methods])
        if self.retrain and (reason := SPACES[self.space].no_retraining):
            given = ", ".join(self.retrain)
            raise ValueError(f"retrain: got {given}; allowed on {self.space}: {{}}, because {reason}")
        return self

    def _check_methods(self) -> None:
        known = [*get_args(Method), *self.variants]
        for name in self.methods:
            if name not in known:
                raise ValueError(f"methods: got {name!r}; allowed: {', '.join(known)}")
        if self.reference not in ("parsec", *self.methods):
            raise ValueError(f"reference: got {self.reference!r}; allowed: {', '.join(self.methods)}, as under methods")
        for name, variant in self.variants.items():
            if name in get_args(Method):
                raise ValueError(f"variants.{name}: a method has this name already; choose another")
            for stage in variant.stages or ():
                if stage not in SEARCH_STAGES:
                    raise ValueError(f"variants.{name}.stages: got {stage!r}; allowed: {', '.join(SEARCH_STAGES)}")
            self._check_changes(name)

    def _check_changes(self, name: str) -> None:
        where = f"variants.{name}.changes"
        for section in self.variants[name].changes:
            if section not in SEARCH_STAGES:
                raise ValueError(
                    f"{where}: {section} is nothing that a search reads; change {', '.join(SEARCH_STAGES)}"
                )
        changed = self.for_method(name)
        for stage in SEARCH_STAGES:
            start = changed.stages[stage].init_from if self.runs(name, stage) else "uniform"
            if start not in ("uniform", "scores") and not self.runs(name, start):
                raise ValueError(f"variants.{name}.stages: {stage} starts from {start}, which it does not run; add it")

    def _check_datasets(self) -> None:
        named = {f"{name}.dataset": stage.dataset for name, stage in self.stages.items()}
        named |= {f"retrain.{name}": name for name in self.retrain}
        named |= {f"scores.{name}.dataset": scores.dataset for name, scores in self.scores.items()}
        named |= {"ablation.dataset": self.ablation.dataset} if self.ablation else {}
        named |= {"kernels.dataset": self.kernels.dataset} if self.kernels else {}
        for path, name in named.items():
            if name not in self.datasets:
                raise ValueError(f"{path}: no data set {name!r} under datasets; there are {', '.join(self.datasets)}")

    def _scores_are_of(self, name: str | None, space: str) -> bool:
        return name in self.scores and self.scores[name].space == space

    def _check_simulations(self) -> None:
        for name, simulation in self.simulations.items():
            space = simulation.search.space
            if "assisted_evolution" in simulation.search.methods and not self._scores_are_of(simulation.scores, space):
                raise ValueError(
                    f"simulations.{name}.scores: got {simulation.scores!r}; allowed: a name under scores of the space "
                    f"{space}, because assisted_evolution begins with its scores"
                )

    def _check_starts(self) -> None:
        if self.search.init_from not in ("uniform", "scores"):
            raise ValueError("search.init_from: the first stage starts from uniform")
        if self.finetune and self.finetune.init_from == "finetune":
            raise ValueError("finetune.init_from: a stage cannot start from itself; choose uniform or search")
        if self.transfer and self.transfer.init_from == "finetune" and not self.finetune:
            raise ValueError("transfer.init_from: finetune is left out (null); choose uniform or search")

    def _check_origins(self) -> None:
        for name, stage in self.retrain.items():
            for origin in stage.origins:
                if origin not in self.stages:
                    raise ValueError(f"retrain.{name}.origins: the stage {origin} is left out (null)")

    def _check_scores_prior(self) -> None:
        # π is fitted to scores of its own space, and only a search that reads a π of that form starts from it.
        fitted = self.scores_prior
        if fitted and not self._scores_are_of(fitted.scores, self.space):
            raise ValueError(
                f"scores_prior.scores: got {fitted.scores!r}; allowed: a name under scores of the space {self.space}"
            )
        for stage in SEARCH_STAGES:
            for name in self.methods:
                if not self.runs(name, stage) or self.for_method(name).stages[stage].init_from != "scores":
                    continue
                if stage != "search" or fitted is None or self.space != "nasbench201":
                    allowed = "in the stage search on nasbench201, with a scores_prior"
                    raise ValueError(f"{stage}.init_from: got scores; allowed: {allowed}")
                if self.method_of(name) in RELAXED:
                    allowed = "uniform, because its π has another form"
                    raise ValueError(f"search.init_from: got scores; allowed with {name}: {allowed}")

    def _check_proposal(self) -> None:
        # Proposals are studied where all architectures can be summed over.
        searched = any(self.method_of(name) == "parsec" for name in self.methods)
        if self.proposal and not (searched and self.space == "nasbench201"):
            raise ValueError("proposal: allowed: null, unless parsec searches nasbench201, because its π is studied")

    def _check_predictors(self) -> None:
        # Searches on darts see scores of darts; a pool sampled from π needs a search with PARSEC on its own space.
        searched = any(self.method_of(name) == "parsec" for name in self.methods)
        for name, made in self.predictors.items():
            where = f"predictors.{name}"
            if made.problem == "darts" and not self._scores_are_of(made.scores, "darts"):
                raise ValueError(
                    f"{where}.scores: got {made.scores!r}; allowed: a name under scores of the space darts"
                )
            if any(pool.kind == "prior" for pool in made.pools) and not (searched and self.space == made.problem):
                raise ValueError(
                    f"{where}.pools: got the kind prior; allowed where parsec searches {made.problem}, from whose π it "
                    "draws"
                )

    def _check_published(self) -> None:
        # A genotype has the place of a method in paths and tables, so that its name must be its own.
        files: dict[str, str | None] = {}
        for dataset, stage in self.retrain.items():
            where, names = f"retrain.{dataset}.published", [given.name for given in stage.published]
            for given in stage.published:
                if given.name in (*get_args(Method), *self.variants):
                    raise ValueError(f"{where}: {given.name} is a method or variant; choose another name")
                if names.count(given.name) > 1 or files.setdefault(given.name, given.file) != given.file:
                    raise ValueError(
                        f"{where}: two genotypes are called {given.name}; write {{name: ..., file: ...}} for one"
                    )
