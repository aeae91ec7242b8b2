"""Names and folders of the runs of a workflow, and of the files that each writes."""

from typing import NamedTuple

from parsec.config.base import SearchStageName

SEARCH_STAGES: tuple[SearchStageName, ...] = ("search", "finetune", "transfer")
SEARCH_FILES = ("pi.parquet", "trajectory.parquet", "genotype.json", "metrics.jsonl", "ranking.parquet", "result.json")
RETRAIN_FILES = ("result.json", "metrics.jsonl", "weights.safetensors")
PUBLISHED = "published"
"""Origin of genotypes that are known by name or lie in a file; their `method` is that name and their seed 0."""


class Search(NamedTuple):
    """One run of a stage that learns π."""

    stage: SearchStageName
    dataset: str
    method: str
    seed: int

    @property
    def folder(self) -> str:
        """Folder of its outputs, below the results folder."""
        return f"{self.stage}/{self.dataset}/{self.method}/seed{self.seed}"

    @property
    def name(self) -> str:
        """How the names of its figures end; a stage has one data set, so this is unique."""
        return f"{self.stage}-{self.method}-seed{self.seed}"


class Retrain(NamedTuple):
    """One training of a genotype from scratch."""

    dataset: str
    origin: str
    method: str
    seed: int
    run: int

    @property
    def folder(self) -> str:
        """Folder of its outputs, below the results folder."""
        return f"retrain/{self.dataset}/{self.origin}/{self.method}/seed{self.seed}/run{self.run}"
