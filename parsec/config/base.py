"""What all settings share: strict types, checked names and paths, seeds, and the names and folders of runs."""

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path, PurePath
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from parsec.errors import SettingsError
from parsec.space.factors import Form
from parsec.space.spaces import SPACES

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]
"""A name that becomes part of a path: letters, digits, `_` and `-`."""


_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


def _plain_path(path: str) -> str:
    # Paths go into patterns of Snakemake, to which braces and angle brackets mean something.
    if re.search(r"[\x00-\x1f\x7f{}<>]|^-", _VARIABLE.sub("variable", path)):
        raise ValueError(f"got {path!r}; allowed: a path without {{ }} < > and line breaks that does not begin with -")
    return str(PurePath(path))


PathText = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"}), AfterValidator(_plain_path)]
"""A path as it is written and recorded; `expanded` gives the one that is opened."""


def expanded(path: str, key: str) -> str:
    """A path with `~`, `$NAME` and `${NAME}` filled in as a shell does; `key` names it in messages.

    Raises:
        SettingsError: a variable that is not set or empty, an unknown user, or a result that is no plain path.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not (text := os.environ.get(name)):
            raise SettingsError(f"{key}: the variable {name} in {path} is not set; set it, or write the path out")
        return text

    try:
        whole = str(Path(path).expanduser())
    except RuntimeError as error:
        raise SettingsError(f"{key}: the {path.partition('/')[0]} in {path} is no user's home folder") from error
    try:
        return _plain_path(_VARIABLE.sub(value, whole))
    except ValueError as error:
        raise SettingsError(f"{key}: {path} stands for a path that cannot be used: {error}") from error


def _known_space(name: str) -> str:
    if name not in SPACES:
        raise ValueError(f"got {json.dumps(name, ensure_ascii=False)}; allowed: one of {', '.join(SPACES)}")
    return name


Space = Annotated[str, Field(max_length=64, json_schema_extra={"format": "space"}), AfterValidator(_known_space)]
"""Name of a search space, one of the package or of a plugin."""
SearchStageName = Literal["search", "finetune", "transfer"]
Method = Literal["parsec", "darts", "darts_second_order", "snas", "gdas", "random_ws", "random"]
RELAXED: tuple[Method, ...] = ("darts", "darts_second_order", "snas", "gdas")
"""Methods that mix all primitives on every edge."""


def form_of(method: str) -> Form:
    """Form of a method's π: over all edges if it is relaxed, else over the choices of every slot."""
    return "edges" if method in RELAXED else "separate"


ExecutorName = Literal["auto", "sequential", "grouped", "fused"]

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

Item = TypeVar("Item")


def _without_repeats(values: tuple[Item, ...]) -> tuple[Item, ...]:
    repeated = next((value for value, count in Counter(values).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} is listed twice")
    return values


UniqueTuple = Annotated[
    tuple[Item, ...], AfterValidator(_without_repeats), Field(json_schema_extra={"uniqueItems": True})
]
"""A list without repeats: a seed listed twice would count one run as two."""


def check_batches(batch_size: int, **images: int | None) -> None:
    """Refuse a split smaller than one batch, because an incomplete batch is dropped in training.

    Raises:
        ValueError: naming the key whose number of images is too small.
    """
    for key, count in images.items():
        if count is not None and count < batch_size:
            raise ValueError(f"{key}: got {count}; allowed: at least batch_size ({batch_size})")


def check_darts(space: Space, work: str) -> None:
    """Refuse work that only the DARTS space has.

    Raises:
        ValueError: another space.
    """
    if space != "darts":
        raise ValueError(f"space: got {space}; allowed: darts, because {work}")


class Config(BaseModel):
    """A section of the settings: unknown keys and wrong types are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def as_json(job: Config) -> str:
    """Canonical JSON: keys sorted, no spaces, so that equal settings are equal text."""
    return json.dumps(job.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(job: Config) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(as_json(job).encode()).hexdigest()[:16]


class Compute(Config):
    """How numbers are computed; part of every fingerprint, because it can change the last digits."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: CUDA if available, else the CPU")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of activations; `auto`: bfloat16 on CUDA, float32 on the CPU; likelihoods are float64"
    )
    layout: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="memory layout of images; `auto`: channels last"
    )
    deterministic: bool = Field(True, description="bitwise reproducible on the same CUDA machine, but slower")
    executor: ExecutorName = Field(
        "auto",
        description="how the K sampled architectures are run: `sequential`: one after another; `grouped`: as grouped "
        "convolutions; `fused`: in kernels that one CUDA graph replays; `auto`: `fused` on CUDA if it passes a test "
        "on the device, else `grouped` where it is faster, else `sequential`",
    )
    samples_in_flight: Positive | None = Field(
        None, description="S, architectures that `grouped` and `fused` run at once; null: as many as memory holds"
    )
    memory_gib: Annotated[float, Field(gt=0.0)] | None = Field(
        None,
        description="memory for the architectures in flight, GiB (2³⁰ bytes); null: 4 on a CPU, what is free on CUDA",
    )
    skip_negligible: bool = Field(
        True, description="skip the backward pass of architectures whose weight cannot change the gradient's last digit"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="retraining: compile the network with `torch.compile`; `auto`: on CUDA only"
    )


def overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same or one lies inside the other, links followed."""
    first, second = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    return first.is_relative_to(second) or second.is_relative_to(first)


class Running(Config):
    """How a run behaves; changes no number, so it is in no fingerprint and re-runs nothing."""

    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = Field(
        60.0, description="time between checkpoints, seconds; longer where saving is slow; 0: after every step"
    )
    progress_seconds: Annotated[float, Field(ge=0.0)] = Field(5.0, description="time between progress lines, seconds")
    rerun_on_code_change: bool = Field(
        True, description="re-run a stage when the code that it executes has changed; tables and figures always are"
    )


def seed_of(seed: int, *names: str | int) -> int:
    """Seed of 63 bits for the stream of this name: from the SHA-256 of seed and names."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


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
