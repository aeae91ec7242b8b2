"""JSON documents that stages write and reports read: checked, and translated from earlier versions, in one place.

A document is a file of its own below the results, or a line in the `results.jsonl` of a record. What reads one raises a
`UserError` if a file is missing, damaged or of another kind, or a key is missing or wrong; the first such key is named.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parsec.config.base import Name, Positive, Seed
from parsec.errors import UserError
from parsec.records.provenance import SCHEMA
from parsec.runtime.files import read_json

RESULTS_FILE = "results.jsonl"
"""All documents of a record, one per line; `file` is where each was below the results."""


class Renames(NamedTuple):
    """Names that changed with one version of the documents and settings."""

    keys: dict[str, str]
    """Old key to the new one. `section.key` renames in that section only, and only where the value is text."""
    values: dict[str, dict[str, str]]
    """Key to what its text, or the texts in its list, are called now."""


_EXECUTORS = {"one": "sequential", "stacked": "grouped", "table": "fused"}
_METHODS = {"darts2": "darts_second_order", "random_shared": "random_ws"}
_LEARNING_STAGES = ("search", "finetune", "transfer", "settings")
"""Sections with the settings of a stage that learns π; `settings` is its name within those of a job."""

RENAMES = {
    2: Renames(
        {
            "child_images": "forward_images",
            **{"contests": "comparisons", "floor": "bound", "distance": "over_bound"},
            **{f"{section}.start": "init_from" for section in _LEARNING_STAGES},
        },
        {"executor": _EXECUTORS, "method": _METHODS, "methods": _METHODS, "base": _METHODS},
    )
}
"""By the version that introduced them. Only versions up to `SCHEMA` are in force; raise it together with the rename."""

GONE = {"prior": {"factors": "separate", "inputs": "independent"}, "adaptive": None, "best_of": None}
"""Keys of settings that are gone, with the value that asked for what is always done now."""


def translated(document: Mapping[str, Any], since: int = 1) -> dict[str, Any]:
    """A document or a settings tree of version `since` under the present names; those are left as they are."""
    result: dict[str, Any] = dict(document)
    for version in range(since + 1, SCHEMA + 1):
        result = _renamed(result, RENAMES[version], "")
    return result


def _renamed(value: Any, renames: Renames, section: str) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, Mapping):
        result = {}
        for key, item in value.items():
            # A predictor's `start` is a number of architectures and keeps its name, in the same sections.
            in_section = renames.keys.get(f"{section}.{key}") if isinstance(item, str) else None
            new: str = in_section or renames.keys.get(key) or key
            result[new] = _renamed(item, renames, new)
        return result
    if isinstance(value, list):
        return [_renamed(item, renames, section) for item in value]
    return renames.values.get(section, {}).get(value, value) if isinstance(value, str) else value


def current_settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run of any earlier version, as this version reads them.

    Settings carry no version, but an old name never has another meaning later. What a variant changes was once a list
    of texts such as `search.estimator.samples = 8`, and the warm-up one key; keys that are gone are left out where they
    asked for what is always done now.
    """
    variants = {name: dict(variant) for name, variant in (document.get("variants") or {}).items()}
    for variant in variants.values():
        if isinstance(variant["changes"], list):
            variant["changes"] = _nested(variant["changes"])
    return _present_keys(translated({**document, "variants": variants} if variants else document))


def _present_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every `warmup_epochs` as the section `warmup` that it has become, without the keys of `GONE`."""
    value = {key: item for key, item in settings.items() if key not in GONE or item != GONE[key]}
    # The lower bound of an adaptive K went with it.
    value = {key: item for key, item in value.items() if key != "minimum_samples" or "adaptive" in value}
    items = ((key, _present_keys(item) if isinstance(item, Mapping) else item) for key, item in value.items())
    tree = {key: item for key, item in items if key != "warmup_epochs"}
    return tree | ({"warmup": {"epochs": value["warmup_epochs"]}} if "warmup_epochs" in value else {})


def _nested(changes: Iterable[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for change in changes:
        path, _, value = change.partition("=")
        *sections, key = path.strip().split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[key] = yaml.safe_load(value)
    return tree


NonNegative = Annotated[float, Field(ge=0)]


class _Open(BaseModel):
    """Keys that readers rely on; a document may have more."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Cost(_Open):
    wall_seconds: NonNegative
    device_seconds: NonNegative
    device: str
    accelerator: bool
    peak_memory_bytes: Annotated[int, Field(ge=0)]


class _Git(_Open):
    commit: str
    dirty: bool


class _Machine(_Open):
    cpu: str
    cores: int
    gpu: dict[str, Any] | None


class _Provenance(_Open):
    settings: dict[str, Any]
    settings_fingerprint: str
    code_fingerprint: str
    git: _Git | None
    dataset_hash: str | None
    stand_in: str | None
    machine: _Machine
    versions: dict[str, str | None]
    threads: int
    deterministic: bool


class _Complexity(_Open):
    parameters: int
    multiply_adds: int


class _Result(_Open):
    """Keys of all results. Names and seeds become parts of paths, so they have the types of the settings."""

    schema_version: int = Field(alias="schema")
    method: Name
    seed: Seed
    cost: _Cost
    provenance: _Provenance


class _Parent(_Open):
    stage: Name
    dataset: Name
    method: Name
    seed: int


class _Search(_Result):
    kind: Literal["search"]
    stage: Name
    dataset: Name
    genotype: dict[str, Any]
    complexity: _Complexity
    selection: str
    parent: _Parent | None
    forward_images: int


class _Test(_Open):
    images: int
    top1_error: NonNegative
    top5_error: NonNegative | None


class _Retrain(_Result):
    kind: Literal["retrain"]
    dataset: Name
    origin: Name
    run: Seed
    genotype: dict[str, Any]
    network: dict[str, Any]
    complexity: _Complexity
    epochs: int
    selection: str
    test: _Test


class _Fit(_Result):
    kind: Literal["fit"]
    stage: Name
    scored: Positive
    kept: Annotated[list[str], Field(min_length=1)]
    forward_images: int


class _PerData(_Open):
    cifar10: float
    cifar100: float
    in16: float


class _LookedUp(_Open):
    """Architecture of one search on NAS-Bench-201, with its true accuracies."""

    stage: Name
    dataset: Name
    method: Name
    base: Name
    seed: Seed
    cost: _Cost
    forward_images: int
    architecture: str
    rank_cifar10: int
    test_cifar10: float
    test_cifar100: float
    test_in16: float


class _Trivial(_Open):
    """Architectures that no search selected: mean and standard deviation over them."""

    name: str
    architectures: Positive
    mean: _PerData
    std: _PerData


class _Lookup(_Open):
    kind: Literal["lookup"]
    schema_version: int = Field(alias="schema")
    best: _PerData
    mean: _PerData
    trivial: list[_Trivial] = []
    runs: list[_LookedUp]


class _Ranked(_Open):
    """Ranking by the shared weights of one search, at one moment."""

    stage: Name
    method: Name
    base: Name
    seed: Seed
    moment: Literal["warmup", "end"]
    forward_images: int
    truth: float | None
    parameters: float | None
    weightless: float | None


class _Ranking(_Open):
    kind: Literal["ranking"]
    truth: str
    rows: list[_Ranked]


class _Step(_Open):
    """Memory and time of one step."""

    setting: str
    executor: str
    samples: Positive
    seconds: NonNegative
    seconds_spread: Annotated[list[NonNegative], Field(min_length=2, max_length=2)]
    peak_bytes: Positive


class _Size(_Open):
    cells: Positive
    channels: Positive


class _Measure(_Open):
    kind: Literal["measure"] = "measure"
    device: str
    batch_size: Positive
    network: _Size
    rows: Annotated[list[_Step], Field(min_length=1)]


class _Depth(_Open):
    method: Name
    executor: str
    cells: Positive
    peak_bytes: Positive


class _Depths(_Open):
    kind: Literal["depths"] = "depths"
    rows: Annotated[list[_Depth], Field(min_length=1)]


class _Predictor(_Open):
    kind: Literal["predictor"]
    job: dict[str, Any]
    accuracies_hash: str


class _Target(_Open):
    contender: str
    quantity: str
    found: float
    target: float
    reached: bool


class _Comparison(_Open):
    targets: list[_Target]


class _BenchProvenance(_Open):
    machine: _Machine
    git: _Git | None
    threads: int


class _Bench(_Open):
    kind: Literal["bench"]
    comparisons: list[_Comparison]
    provenance: _BenchProvenance


RESULTS: dict[str, type[_Open]] = {"search": _Search, "retrain": _Retrain, "fit": _Fit}
"""Kinds of the results of a run."""
KINDS: dict[str, type[_Open]] = {
    **RESULTS,
    "lookup": _Lookup,
    "ranking": _Ranking,
    "measure": _Measure,
    "depths": _Depths,
    "predictor": _Predictor,
    "bench": _Bench,
}
WRITTEN_BY = {"fit": "fit-pi", "measure": "measure step", "depths": "measure depths", "bench": "bench --json"}
"""Command that writes a kind, where its name differs."""


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The results of runs in these files, in this order: each a `result.json` or `fit.json`, or a `results.jsonl`."""
    return read_documents(paths, *RESULTS)


def read_documents(paths: Iterable[Path], *kinds: str) -> list[dict[str, Any]]:
    """The documents of these kinds in these files; a `results.jsonl` may hold others, which are left out."""
    documents = []
    for path in map(Path, paths):
        if path.suffix == ".jsonl":
            documents += [_checked(path, document) for document in read_lines(path) if document.get("kind") in kinds]
        else:
            documents.append(_read_one(path, *kinds))
    return documents


def read_document(path: Path, kind: str) -> dict[str, Any]:
    """The only document of this kind in a file; a `results.jsonl` that holds several or none is refused."""
    documents = read_documents([path], kind)
    if len(documents) != 1:
        raise UserError(f"{path}: holds {len(documents)} documents of kind {kind}; give a file with one")
    return documents[0]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All documents of a `results.jsonl`, as written."""
    try:
        # Not `splitlines`, which also splits at U+2028 and U+0085; JSON writes both as they are.
        with path.open(encoding="utf-8") as file:
            documents = [json.loads(line) for line in file]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); it must be a record's {RESULTS_FILE}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); restore the record from git") from error
    if not all(isinstance(document, dict) for document in documents):
        raise UserError(f"{path}: holds JSON of another form; restore the record from git")
    return documents


def _read_one(path: Path, *kinds: str) -> dict[str, Any]:
    is_result = set(kinds) <= RESULTS.keys() and len(kinds) > 1
    written_by = f"what `parsec {WRITTEN_BY.get(kinds[0], kinds[0])}` writes"
    remedy = "a result.json; run the workflow again to make it" if is_result else written_by
    document = read_json(path, remedy)
    # Measurements had no kind at first.
    kind = document.get("kind") or (kinds[0] if len(kinds) == 1 else None)
    if kind not in kinds:
        wanted = f"a result of kind {' or '.join(kinds)}; give the result.json of a run" if is_result else remedy
        raise UserError(f"{path}: not {wanted}")
    return _checked(path, {**document, "kind": kind})


def _checked(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The document under today's names, checked by the model of its kind."""
    version = document.get("schema", 1)
    if not isinstance(version, int) or not 1 <= version <= SCHEMA:
        raise UserError(f"{path}: written by another version (schema {version!r}; this one reads 1 to {SCHEMA})")
    document = translated(document, since=version)
    if "schema" in document:
        document["schema"] = SCHEMA
    try:
        KINDS[document["kind"]].model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: not a document that this version reads ({key}: {first['msg']}); give another, or make it again"
        ) from error
    return document
