"""The reference and the JSON schema of the settings, with which of them the paper gives."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from parsec.config.schema import Node, Tree, schema_of
from parsec.config.settings import NAMED, Settings

GIVEN = (
    ("estimator.samples", "K = 16 in the DARTS space (reported by FP-NAS), the same at every step"),
    ("space", "independent categoricals for the inputs and the operations of every slot"),
    ("init_from", "uniform at first; the π of the small network when fine-tuning on the large one"),
    ("space", "normal and reduction cells of the DARTS kind with seven primitives"),
)
"""Key and what the sources say of it."""

DARTS_KEYS = (
    "network",
    "batch_size",
    "weights",
    "prior.betas",
    "augmentation",
    "auxiliary_weight",
    "drop_path",
    "label_smoothing",
    "optimizer",
)

NOT_GIVEN = (
    (DARTS_KEYS, "DARTS' values, because the paper works in its space and compares itself with it"),
    (("epochs",), "search and fine-tuning: as many as the stated cost (0.6 and 1 GPU-days) affords; retraining: DARTS"),
    (("prior.learning_rate",), "ten times DARTS' 3e-4, which is slow for a π that starts uniform"),
    (("estimator.likelihood",), "the estimator as it is written"),
    (
        ("estimator.baseline",),
        "`paper.yaml`: none, as it is written; the default subtracts 1/K: the same expectation with less noise",
    ),
    (("warmup", "epochs"), "no source mentions a warm-up"),
    (("train_images", "validation_images"), "ImageNet: the part of a pass that the stated 1 GPU-day leaves room for"),
    (
        ("init_from", "origins"),
        "which stage gave the ImageNet row is unknown: the longest chain, and all are retrained",
    ),
    (("seeds", "runs"), "four searches, as DARTS; four runs of each, where DARTS trains one cell ten times"),
    (("validation_fraction", "split_seed"), "halves, as DARTS and FP-NAS; one fixed split keeps searches comparable"),
    (("compute.precision", "compute.layout"), "the faster ones on today's GPUs; likelihoods stay float64"),
)
"""Keys below the branch of a stage or data set (a section stands for all its keys), and the reason for their values."""


DIALECT = "https://json-schema.org/draft/2020-12/schema"

INTRODUCTION = """\
# Settings

This page is made from the settings tree: `parsec settings reference > config/README.md`; `schema.json` beside it by
`parsec settings schema > config/schema.json`. A test fails when they differ from the tree.

## Presets

| file | what it is | data |
| --- | --- | --- |
| `config.yaml` | the default: every stage, small, minutes on a laptop | digits, shipped with scikit-learn |
| `cifar10.yaml` | the chain at reduced scale, an hour on two cores | CIFAR-10 |
| `compare.yaml` | all methods at one budget | digits |
| `compare-paper.yaml` | the same at full scale, CUDA GPUs | CIFAR-10 |
| `compare-nasbench201.yaml` | all methods on a table; `-600k`, `-2400k`: larger budgets | CIFAR-10 |
| `ablation-nasbench201.yaml` | what makes `rank-first` work | CIFAR-10 |
| `transfer.yaml` | whether a π of a small network helps on a large one; `-short`, `-long`: other costs | digits |
| `transfer-cifar10.yaml` | the same on real images | CIFAR-10 |
| `nasbench201.yaml` | NASWOT, predictors, PARSEC on a table | CIFAR-10 |
| `predictor-darts.yaml` | predictors where no table can be made | digits |
| `paper.yaml` | everything at the paper's scale, CUDA GPUs | CIFAR-10, ImageNet |

`--configfile config/cifar10.yaml` runs a preset, and no `--configfile` runs `config.yaml`. A file holds what it
changes; every other key has its default: the paper's value, else DARTS', else a choice of ours.

## Your own run

```yaml
# photos.yaml, for photos/train/<class>/* and photos/val/<class>/*
datasets:
  photos: {source: image_folder, folder: photos, image_size: 32}
search:
  dataset: photos
  network: {cells: 5, channels: 8}
  epochs: 20
  estimator: {samples: 4}
retrain:
  photos: {network: {cells: 8, channels: 16}, epochs: 40}
```

`snakemake --cores 2 --configfile photos.yaml` runs it. Several files after `--configfile` are merged, the later over
the earlier, as Snakemake does: `--configfile config/cifar10.yaml mine.yaml`; `NAME: null` removes a data set, a
retraining or another named section. `finetune` and `transfer` inherit unset keys from `search`.
`parsec settings show FILE...` prints all settings that this makes, each with the file it comes from; those of a run
that has ended are in `results/settings.yaml`.

## How settings are read

- An unknown key, a wrong type or a value out of range stops the run before any job is planned, with the key's path,
  what was given and what is allowed. Text is never taken for a number, nor `true` for 1.
- YAML takes `3e-4` for text: write `3.0e-4`. It reads `no`, `off` and `yes` as booleans and days as dates: quote them.
- In every path `~`, `$NAME` and `${NAME}` stand for what they do in a shell. They are filled in where the path is used;
  a data set's record keeps the path as written. A variable that is not set stops the run before any job is planned;
  under `benchmarks` it leaves out what needs the file.
- `null` means "none" where it is allowed, and leaves a stage out at `finetune` and `transfer`.
- Snakemake's `--config key=value` sets a key of the top level; inside a list or a section it makes every value text,
  which is refused, so put such changes into a file.
- A job re-runs when a key that it reads changes; a new seed or run adds jobs and re-runs none. `running` re-runs none,
  nor does the place of CIFAR-10 and CIFAR-100 (`folder`, `order`), because their images are known by their hashes.
- Threads, memory, time and GPUs are resources of the workflow's profile, not settings.

## Keys

`<stage>` is search, finetune or transfer, `<name>` a name of your choice, `<dataset>` a name under `datasets`. A key
without a default must be written, in the sections that are.
"""


class Group(NamedTuple):
    """One table of the reference."""

    title: str
    prefix: str
    node: Node


def schema_json() -> str:
    """The JSON schema of a settings file, ending with a newline."""
    document: Node = {"$schema": DIALECT, "title": "PARSEC settings"} | copy.deepcopy(schema_of(Settings))
    # A file may leave out what a later stage takes over from `search`, and take named sections away.
    definitions, properties = document["$defs"], document["properties"]
    definitions["LaterStage"] = {key: value for key, value in definitions["SearchStage"].items() if key != "required"}
    for stage in ("finetune", "transfer"):
        properties[stage]["anyOf"][0] = {"$ref": "#/$defs/LaterStage"}
    for name in NAMED:
        patterns = properties[name]["patternProperties"]
        properties[name]["patternProperties"] = {p: {"anyOf": [v, {"type": "null"}]} for p, v in patterns.items()}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def reference_markdown() -> str:
    """The reference of every key, ending with a newline."""
    tree = Tree(Settings)
    tables = [_table(tree, group) for group in _groups(tree)]
    return "\n".join([INTRODUCTION, *tables, _literature()])


def _groups(tree: Tree) -> Iterator[Group]:
    root = tree.root["properties"]
    yield Group("Top level", "", {"properties": {k: v for k, v in root.items() if tree.is_leaf(v)}})
    for tag, node in tree.sources(tree.named(root["datasets"])).items():
        yield Group(f"`datasets`, source `{tag}`", "datasets.<name>", node)
    yield Group("`search`, `finetune`, `transfer`", "<stage>", tree.resolve(root["search"]))
    yield Group("`retrain`", "retrain.<dataset>", tree.resolve(tree.named(root["retrain"])))
    yield Group("`benchmarks`", "benchmarks", tree.resolve(root["benchmarks"]))
    for tag, node in tree.sources(tree.named(root["scores"])).items():
        yield Group(f"`scores`, space `{tag}`", "scores.<name>", node)
    for name in ("scores_prior", "ablation", "kernels"):
        yield Group(f"`{name}`", name, tree.resolve(root[name]))
    yield Group("`simulations`", "simulations.<name>", tree.resolve(tree.named(root["simulations"])))
    for tags, node in _shared(tree.sources(tree.named(root["predictors"]))):
        yield Group(f"`predictors`, problem {' or '.join(f'`{tag}`' for tag in tags)}", "predictors.<name>", node)
    yield Group("`proposal`", "proposal", tree.resolve(root["proposal"]))
    yield Group("`variants`", "variants.<name>", tree.resolve(tree.named(root["variants"])))
    for name in ("measure", "compute", "running"):
        yield Group(f"`{name}`", name, tree.resolve(root[name]))


def _shared(sources: Mapping[str, Node]) -> Iterator[tuple[list[str], Node]]:
    """Every branch of a union once, with all the values that choose it."""
    branches = list(sources.values())
    for i, node in enumerate(branches):
        if node not in branches[:i]:
            yield [tag for tag, other in sources.items() if other == node], node


def _table(tree: Tree, group: Group) -> str:
    text = group.node.get("description", "What a run is and what it computes; the sections follow.")
    head = f"### {group.title}\n\n{text}\n\n| key | allowed | default | meaning |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(_rows(tree, group.node, group.prefix)) + "\n"


def _rows(tree: Tree, node: Node, prefix: str) -> Iterator[str]:
    for key, child in node["properties"].items():
        path = f"{prefix}.{key}" if prefix else key
        if tree.is_leaf(child):
            cells = (f"`{path}`", tree.allowed(child), _default(child), child["description"])
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
            # A list of sections: their keys stand below it.
            items = tree.resolve(child).get("items", {})
            yield from [] if tree.is_leaf(items) else _rows(tree, tree.resolve(items), f"{path}[]")
        else:
            yield from _rows(tree, tree.resolve(child), path)


def _default(node: Node) -> str:
    return f"`{json.dumps(node['default'], ensure_ascii=False)}`" if "default" in node else "–"


def _literature() -> str:
    """The last section: what the sources give, and why the rest is as it is."""
    given = "\n".join(f"| `{key}` | {what} |" for key, what in GIVEN)
    chosen = "\n".join(f"| {', '.join(f'`{key}`' for key in keys)} | {why} |" for keys, why in NOT_GIVEN)
    return f"""\
## What the literature gives

Of the paper's settings these are known, from its abstract and from what others report of it:

| key | what is known |
| --- | --- |
{given}

These are not given; the defaults and `paper.yaml` are choices, for these reasons:

| keys | reason for the choice |
| --- | --- |
{chosen}
"""
