"""Which settings the paper gives and which had to be chosen; a test holds this against `config/paper.yaml`."""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from parsec.config.schema import Node, Tree, schema_of
from parsec.config.settings import Settings

GIVEN = (
    ("estimator.samples", "K = 16 in the DARTS space (reported by FP-NAS), the same at every step"),
    ("prior.factors", "independent categoricals for the inputs and the operations of every slot"),
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
    (("prior.inputs",), "full independence of the slots lets both inputs of a node coincide"),
    (("estimator.likelihood", "estimator.baseline"), "the estimator as it is written, with nothing added"),
    (("warmup_epochs",), "no source mentions a warm-up"),
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

| file | what it is | data | how to choose it |
| --- | --- | --- | --- |
| `config.yaml` | the default: every stage, small, minutes on a laptop | digits, shipped with scikit-learn | – |
| `cifar10.yaml` | the chain at reduced scale, an hour on two cores | CIFAR-10 | `--configfile config/cifar10.yaml` |
| `compare.yaml` | all methods and variants at one budget | digits | `--configfile config/compare.yaml` |
| `compare-paper.yaml` | the same at full scale, CUDA GPUs | CIFAR-10 | `--configfile config/compare-paper.yaml` |
| `compare-nasbench201.yaml` | seven methods on a table | CIFAR-10 | `--configfile config/compare-nasbench201.yaml` |
| `transfer.yaml` | whether a π of a small network helps on a large one | digits | `--configfile config/transfer.yaml` |
| `transfer-cifar10.yaml` | the same on real images | CIFAR-10 | `--configfile config/transfer-cifar10.yaml` |
| `nasbench201.yaml` | NASWOT, predictors, PARSEC on a table | CIFAR-10 | `--configfile config/nasbench201.yaml` |
| `predictor-darts.yaml` | predictors where no table can be made | digits | `--configfile config/predictor-darts.yaml` |
| `paper.yaml` | everything at the paper's scale, CUDA GPUs | CIFAR-10, ImageNet | `--configfile config/paper.yaml` |

Every preset is complete: it writes every key, so that nothing is left to a default and a preset can be read by itself.
They do not build on each other; each has its own `results` folder. For a run of your own, copy the nearest one.

## How settings are read

- An unknown key, a wrong type or a value out of range stops the run before any job is planned, with the key's path,
  what was given and what is allowed. Text is never taken for a number, nor `true` for 1.
- YAML takes `3e-4` for text: write `3.0e-4`. It takes `no`, `off` and `yes` for booleans, days for dates: quote them.
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
without a default must be written.
"""


class Group(NamedTuple):
    """One table of the reference."""

    title: str
    prefix: str
    node: Node


def schema_json() -> str:
    """The JSON schema of a settings file, ending with a newline."""
    document = {"$schema": DIALECT, "title": "PARSEC settings"} | schema_of(Settings)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def reference_markdown() -> str:
    """The reference of every key, ending with a newline."""
    tree = Tree(Settings)
    tables = [_table(tree, group) for group in _groups(tree)]
    return "\n".join([INTRODUCTION, *tables, _literature()])


def _groups(tree: Tree) -> Iterator[Group]:
    root = tree.root["properties"]
    yield Group("Top level", "", {"properties": {k: v for k, v in root.items() if tree.is_leaf(v)}})
    yield Group("`prior`", "prior", tree.resolve(root["prior"]))
    for tag, node in tree.sources(tree.named(root["datasets"])).items():
        yield Group(f"`datasets`, source `{tag}`", "datasets.<name>", node)
    yield Group("`search`, `finetune`, `transfer`", "<stage>", tree.resolve(root["search"]))
    yield Group("`retrain`", "retrain.<dataset>", tree.resolve(tree.named(root["retrain"])))
    yield Group("`benchmarks`", "benchmarks", tree.resolve(root["benchmarks"]))
    for tag, node in tree.sources(tree.named(root["scores"])).items():
        yield Group(f"`scores`, space `{tag}`", "scores.<name>", node)
    yield Group("`scores_prior`", "scores_prior", tree.resolve(root["scores_prior"]))
    yield Group("`ablation`", "ablation", tree.resolve(root["ablation"]))
    yield Group("`kernels`", "kernels", tree.resolve(root["kernels"]))
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
    for place, node in enumerate(branches):
        if node not in branches[:place]:
            yield [tag for tag, other in sources.items() if other == node], node


def _table(tree: Tree, group: Group) -> str:
    about = group.node.get("description", "What a run is and what it computes; the sections follow.")
    head = f"### {group.title}\n\n{about}\n\n| key | allowed | default | meaning |\n| --- | --- | --- | --- |\n"
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

These are not given; `paper.yaml` marks each with "not given by the paper" and its reason:

| keys | reason for the choice |
| --- | --- |
{chosen}
"""
