"""The whole settings tree: what one run of the workflow computes."""

import re
from typing import Annotated, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from parsec.settings.ablation import Ablation
from parsec.settings.base import Distinct, Method, Name, Place, Positive, Seed, Space, Strict
from parsec.settings.changes import path_of
from parsec.settings.compute import Compute
from parsec.settings.datasets import Dataset
from parsec.settings.fit import ScoresPrior
from parsec.settings.kernels import Kernels
from parsec.settings.predictor import Predictors
from parsec.settings.proposal import ProposalJob
from parsec.settings.retrain import RetrainStage, check_published
from parsec.settings.score import Scores
from parsec.settings.search import Prior, SearchStage
from parsec.settings.simulate import Simulation
from parsec.settings.spaces import check_space
from parsec.settings.starts import check_predictors, check_proposal, check_scores_prior
from parsec.settings.variants import Variant, runs_stage, settings_of

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


class Running(Strict):
    """How a run behaves; changes no number, so it is in no fingerprint and re-runs nothing."""

    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = Field(
        300.0, description="time between checkpoints, seconds; longer where saving is slow; 0: after every step"
    )
    progress_seconds: Annotated[float, Field(ge=0.0)] = Field(5.0, description="time between progress lines, seconds")
    rerun_on_code_change: bool = Field(True, description="re-run a stage when the code that it executes has changed")


class Measure(Strict):
    """The measurement of memory and time of a search step, for the figure."""

    samples: Distinct[Positive] = Field((1, 2, 4, 8, 16), description="values of K that are measured", min_length=1)
    repeats: Positive = Field(5, description="timed steps of each K; the median is shown")
    depths: Distinct[Positive] = Field(
        (), description="`cells` of the networks on which the memory of every method is measured; none: left out"
    )


class Benchmarks(Strict):
    """Files of tabular benchmarks. Without a file, what needs it is left out, and the run says so."""

    nasbench201: Place | None = Field(
        None, description="Parquet table of NAS-Bench-201, as `python -m parsec import-benchmark` makes it; null: none"
    )
    nasbench101: Place | None = Field(None, description="the same of NAS-Bench-101")


class Settings(Strict):
    """Everything that one run of the workflow computes."""

    name: Title = Field(description="what this run is, in a few words; the title of its report")
    results: Place = Field("results", description="folder of the run's outputs, relative to the working directory")
    space: Space = Field(
        "darts",
        description="search space; on `nasbench201` a network's `cells` are those of a stage, and `retrain` is {}",
    )
    prior: Prior = Prior()
    methods: Distinct[Name] = Field(("parsec",), description="search methods, and names under `variants`", min_length=1)
    variants: dict[Name, Variant] = Field({}, description="methods with settings of their own")
    seeds: Distinct[Seed] = Field(description="seeds of the independent searches", min_length=1)
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
