"""The package in Python: public names, π and genotypes from files, stages as functions, registries."""

import ast
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from workspace import ROOT

import parsec
import parsec.search.run
from parsec.config.job_parts import job_of, job_text
from parsec.config.load import load
from parsec.errors import DatasetError, GenotypeError, PriorError, SettingsError, UserError
from parsec.network.spaces import NETWORKS
from parsec.plugins import Registry, load_plugins, source_hash
from parsec.prior.distribution import Prior
from parsec.prior.parquet import write_prior
from parsec.records.code_hash import _closure
from parsec.space.published import DARTS_V2
from parsec.space.spaces import SPACES

SMALL = {"epochs": 1, "batch_size": 16, "train_images": 32, "validation_images": 32}
SMALL |= {"network": {"cells": 3, "channels": 4}, "estimator": {"samples": 2}}
SMALL |= {"ranking": {"architectures": 3}}
RETRAIN = {"epochs": 1, "batch_size": 16, "train_images": 32, "network": {"cells": 3, "channels": 4}}
RETRAIN |= {"auxiliary_weight": 0.0}
DIGITS = {"source": "digits"}


def test_importing_the_package_imports_no_other_module_of_it():
    code = "import sys, parsec; print(*sorted(m for m in sys.modules if m == 'torch' or m.startswith('parsec')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["parsec"]


def test_every_public_name_is_there():
    assert all(getattr(parsec, name) is not None for name in parsec.__all__)
    assert set(parsec.__all__) <= set(dir(parsec))
    with pytest.raises(AttributeError, match="no attribute 'find'"):
        parsec.find  # noqa: B018 - the look-up is what is tried


def test_packages_stay_packages_when_they_are_called():
    assert callable(parsec.search)
    assert parsec.search.run.search.__module__ == "parsec.search.run"
    with pytest.raises(TypeError, match="output"):
        parsec.search(DIGITS)


def test_type_checkers_see_every_public_name():
    tree = ast.parse((ROOT / "parsec/__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    names = {alias.name for statement in block.body for alias in statement.names}
    assert names == set(parsec.__all__) - {"__version__"}
    assert (ROOT / "parsec/py.typed").is_file()


def test_the_interface_is_no_code_of_a_stage():
    for stage in ("parsec.search.run", "parsec.retrain.run", "parsec.data.prepare", "parsec.zero_cost.score"):
        assert "parsec.api" not in _closure((stage,), ROOT / "parsec")


FORMS = [
    ("darts", "separate"),
    ("nasbench201", "separate"),
    ("nasbench201", "edges"),
]


def written(path, space, form):
    shape = Prior(form, space=SPACES[space]).logits.shape
    logits = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = Prior(form, logits, SPACES[space])
    write_prior(path, prior, {"space": space, "stage": "search", "seed": "0", "epoch": "7"})
    return prior


@pytest.mark.parametrize(("space", "form"), FORMS, ids=str)
def test_prior_is_that_of_the_file(tmp_path, space, form):
    prior = written(tmp_path / "pi.parquet", space, form)
    loaded = parsec.load_prior(tmp_path / "pi.parquet")
    assert loaded.space == space
    assert loaded.metadata["epoch"] == "7"
    assert loaded.entropy() == prior.entropy()
    assert loaded.mode().architecture == prior.mode()
    sampled = loaded.sample(300, seed=4)
    assert sampled == loaded.sample(300, seed=4) != loaded.sample(300, seed=5)
    # The mean of −log p over samples is the entropy.
    log_probs = np.array([loaded.log_prob(each) for each in sampled])
    assert -log_probs.mean() == pytest.approx(loaded.entropy(), abs=5 * log_probs.std() / math.sqrt(300))
    assert loaded.log_prob(sampled[0]) <= loaded.log_prob(loaded.mode()) + 1e-9
    table = loaded.probabilities()
    assert len(table) == int(prior.mask.sum())
    assert table.groupby(["cell", "node", "slot", "factor"])["probability"].sum().round(9).eq(1).all()


def test_prior_over_edges_of_darts_has_a_mode_only(tmp_path):
    prior = written(tmp_path / "pi.parquet", "darts", "edges")
    loaded = parsec.load_prior(tmp_path / "pi.parquet")
    assert loaded.mode().architecture == prior.mode()
    with pytest.raises(ValueError, match="are no architecture"):
        loaded.sample(1)


@pytest.mark.parametrize(
    ("metadata", "said"), [({}, "belongs to space ''"), ({"space": "mine"}, "belongs to space 'mine'; register it")]
)
def test_prior_of_an_unknown_space(tmp_path, metadata, said):
    write_prior(tmp_path / "pi.parquet", Prior(), metadata)
    with pytest.raises(PriorError, match=said):
        parsec.load_prior(tmp_path / "pi.parquet")


def test_prior_and_genotype_of_different_spaces(tmp_path):
    written(tmp_path / "pi.parquet", "nasbench201", "separate")
    with pytest.raises(UserError, match="belongs to space darts, π to nasbench201"):
        parsec.load_prior(tmp_path / "pi.parquet").log_prob(parsec.load_genotype("DARTS_V2"))


def test_genotype_by_name_file_and_text(tmp_path):
    genotype = parsec.load_genotype("DARTS_V2")
    (tmp_path / "genotype.json").write_text(json.dumps(genotype.as_dict()))
    assert genotype.architecture == DARTS_V2
    assert parsec.load_genotype(tmp_path / "genotype.json") == genotype
    assert {parsec.load_genotype(json.dumps(genotype.as_dict())): 1} == {genotype: 1}
    with pytest.raises(GenotypeError, match="neither a published genotype"):
        parsec.load_genotype("DARTS_V3")


CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"


@pytest.mark.parametrize(("given", "cells", "channels"), [("DARTS_V2", 6, 8), (CELL, 2, 8)], ids=("darts", "201"))
def test_network_has_the_parameters_that_are_counted(given, cells, channels):
    genotype = parsec.load_genotype(given)
    network = genotype.build(cells, channels, classes=7)
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 7)
    assert sum(p.numel() for p in network.parameters()) == genotype.complexity(cells, channels, classes=7).parameters


def test_auxiliary_head_makes_a_tuple_in_training_only():
    network = parsec.load_genotype("DARTS_V2").build(3, 4, auxiliary=True)
    images = torch.randn(2, 3, 32, 32)
    logits, auxiliary = network(images)
    assert logits.shape == auxiliary.shape == (2, 10)
    assert network.eval()(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("given", "size", "said"),
    [
        ("DARTS_V2", {"cells": 2, "channels": 4}, "cells: got 2; allowed on darts: 3 or more"),
        ("DARTS_V2", {"cells": 3, "channels": 5}, "channels: got 5"),
        (CELL, {"cells": 3, "channels": 4, "stem": "imagenet"}, "allowed on nasbench201: cifar"),
        (CELL, {"cells": 3, "channels": 4, "auxiliary": True}, "no auxiliary head"),
    ],
)
def test_sizes_that_a_space_does_not_have(given, size, said):
    with pytest.raises(SettingsError, match=said):
        parsec.load_genotype(given).build(**size)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A search and a retraining of its genotype, in one folder of results."""
    output = tmp_path_factory.mktemp("api") / "results"
    run = parsec.search(DIGITS, output=output, search=SMALL)
    return run, parsec.retrain(run, output / "data" / "digits", output=output, retrain=RETRAIN)


def test_search_writes_what_the_command_writes(finished):
    run, _ = finished
    assert run.folder.parts[-4:] == ("search", "digits", "parsec", "seed0")
    assert run.result["kind"] == "search"
    assert run.genotype.as_dict() == run.result["genotype"]
    assert run.prior.entropy() == run.result["entropy"]
    assert run.prior.mode() == run.genotype
    trajectory = run.folder / "trajectory.parquet"
    assert parsec.load_prior(trajectory).entropy() == run.prior.entropy()
    assert parsec.load_prior(trajectory, epoch=0).entropy() == pytest.approx(50.2845, abs=1e-4)
    with pytest.raises(PriorError, match="no π after epoch 9; there are 0, 1"):
        parsec.load_prior(trajectory, epoch=9)


def test_finished_search_is_not_repeated_and_other_settings_are_refused(finished):
    run, _ = finished
    results, before = run.folder.parents[3], (run.folder / "result.json").read_bytes()
    assert parsec.search(DIGITS, output=results, search=SMALL) == run
    assert (run.folder / "result.json").read_bytes() == before
    with pytest.raises(UserError, match=r"changed since: settings\.epochs \(1, now 2\)"):
        parsec.search(DIGITS, output=results, search={**SMALL, "epochs": 2})


def test_retraining_names_the_search_and_its_weights_fit(finished):
    run, trained = finished
    assert trained.folder.parts[-6:] == ("retrain", "digits", "search", "parsec", "seed0", "run0")
    assert trained.result["genotype_source"]["origin"]["stage"] == "search"
    assert trained.genotype == run.genotype
    images = torch.randint(256, (2, 3, 8, 8)).float()
    assert trained.network()(images).shape == (2, 10)
    network = run.genotype.build(3, 4)
    network.load_state_dict(load_file(trained.folder / "weights.safetensors"))


def test_genotypes_are_retrained_under_a_name(tmp_path):
    genotype = parsec.load_genotype("DARTS_V2")
    text, path = json.dumps(genotype.as_dict()), tmp_path / "mine.json"
    path.write_text(text)
    for given, name in (("DARTS_V2", "DARTS_V2"), (path, "mine"), (text, "genotype"), (genotype, "genotype")):
        assert parsec.api._origin(given, None)[1:] == ("published", name, 0)
        assert parsec.api._origin(given, "best")[2] == "best"


def test_data_sets_are_named_after_their_folders(finished, tmp_path):
    photos = tmp_path / "my photos (2019)"
    photos.mkdir()
    section = {"source": "image_folder", "folder": str(photos)}
    assert parsec.api._dataset(photos) == ("my-photos-2019", section, None)
    assert parsec.api._dataset({**section, "image_size": 32})[0] == "my-photos-2019"
    assert parsec.api._dataset({"source": "cifar10"})[0] == "cifar10"
    prepared = finished[1].data
    assert parsec.api._dataset(str(prepared))[::2] == ("digits", prepared)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"search": {"epoch": 1}}, "search.epoch: unknown key; did you mean search.epochs"),
        ({"method": "dart"}, "methods: got 'dart'"),
        ({"space": "dart"}, 'space: got "dart"; allowed: one of darts, nasbench201'),
        ({"seed": -1}, r"seeds\[0\]: got -1"),
        ({"dataset": "nowhere"}, "nowhere: neither a folder of images"),
        ({"dataset": {"source": "registered", "registered": "none"}}, "the name of a registered data set"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(tmp_path, arguments, said):
    with pytest.raises(UserError, match=said):
        parsec.search(**{"dataset": DIGITS, "output": tmp_path / "results", **arguments})
    assert not (tmp_path / "results").exists()


def test_foreign_folders_are_not_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for call in (parsec.search, lambda data, output: parsec.retrain("DARTS_V2", data, output=output)):
        with pytest.raises(UserError, match="holds files and no"):
            call(DIGITS, output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class Supernet(torch.nn.Module):
    """Two convolutions that a choice leaves out."""

    def __init__(self, channels, classes):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, channels, 1)
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.classifier = torch.nn.Linear(channels, classes)

    def operations(self, edge, x):
        return [x, self.convs[edge](x).relu(), torch.zeros_like(x)]

    def forward(self, architecture, images):
        x = self.stem(images)
        for edge, name in enumerate(architecture.operations):
            x = self.operations(edge, x)[OPERATIONS.index(name)]
        return self.classifier(x.mean((2, 3)))

    def mixture(self, weights, images):
        x = self.stem(images)
        for edge, shares in enumerate(weights[0]):
            x = sum(share * each for share, each in zip(shares.float(), self.operations(edge, x), strict=True))
        return self.classifier(x.mean((2, 3)))


class Networks(parsec.SpaceNetworks):
    def supernet(self, network, classes):
        return Supernet(network.channels, classes)

    def cost(self, architecture, network, classes, image_size):
        weights = 9 * network.channels**2 * architecture.operations.count("conv")
        return parsec.Cost(weights, weights * image_size**2)

    def multiply_adds(self, network, image_size):
        conv = 9 * network.channels**2 * image_size**2
        return torch.tensor([[[0, conv, 0]] * 2], dtype=torch.float64)


OPERATIONS = ("skip", "conv", "none")
TOY = parsec.edge_space("toy", [(0, 1), (1, 2)], OPERATIONS, relaxed=True)


def noise(images=32):
    pixels = torch.randint(256, (images, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(images) % 2
    return pixels, labels, pixels[:8], labels[:8]


@pytest.fixture
def registered(monkeypatch):
    """The toy space and the noise, forgotten after the test."""
    from parsec.config.datasets import REGISTERED

    for registry in (SPACES, NETWORKS, REGISTERED):
        monkeypatch.setattr(registry, "_added", {})
        monkeypatch.setattr(registry, "_code", {})
    parsec.register_space("toy", TOY, Networks())
    parsec.register_dataset("noise", noise)


@pytest.mark.parametrize("method", ["parsec", "darts", "darts_second_order", "gdas", "random"])
def test_registered_space_is_searched(registered, tmp_path, method):
    stage = {"epochs": 2, "batch_size": 8, "network": {"cells": 1, "channels": 2}, "estimator": {"samples": 2}}
    stage |= {"random": {"architectures": 2, "epochs": 1}}
    run = parsec.search("noise", space="toy", method=method, output=tmp_path / "results", search=stage)
    assert (run.result["space"], run.prior.space, run.genotype.space) == ("toy", "toy", "toy")
    assert run.result["space_code"] == source_hash(noise)
    assert run.genotype in {parsec.api.Genotype(TOY.decode([i, j], "separate")) for i in range(3) for j in range(3)}
    assert len(run.prior.probabilities()) == 6
    assert parsec.load_prior(run.folder / "trajectory.parquet", epoch=0).metadata["space"] == "toy"


def test_registered_search_learns_and_repeats_itself(registered, tmp_path):
    def search(name):
        # Images of the two classes differ in brightness, so that any architecture with its signal left learns them.
        stage = {"epochs": 40, "batch_size": 8, "network": {"cells": 1, "channels": 4}, "estimator": {"samples": 4}}
        stage |= {"weights": {"learning_rate": 0.2}, "prior": {"learning_rate": 0.1}, "augmentation": {"crop": "none"}}
        return parsec.search("bright", space="toy", output=tmp_path / name, search=stage)

    def bright():
        labels = torch.arange(32) % 2
        pixels = (100 * labels[:, None, None, None] + noise()[0] // 4).to(torch.uint8)
        return pixels, labels, pixels, labels

    parsec.register_dataset("bright", bright)
    first, second = search("one"), search("two")
    assert (first.folder / "pi.parquet").read_bytes() == (second.folder / "pi.parquet").read_bytes()
    assert first.result["mode_accuracy"] == 1.0
    # `none` loses the signal, so π leaves it.
    table = first.prior.probabilities()
    assert (table[table["choice"] == "none"]["probability"] < 0.1).all()


def test_changed_source_of_a_space_is_noticed(registered, tmp_path):
    stage = {"epochs": 1, "batch_size": 8, "network": {"cells": 1, "channels": 2}, "estimator": {"samples": 2}}
    parsec.search("noise", space="toy", output=tmp_path / "results", search=stage)
    SPACES.register("toy", TOY, "0" * 16)
    with pytest.raises(UserError, match="changed since: space_code"):
        parsec.search("noise", space="toy", output=tmp_path / "results", search=stage)


def test_changed_source_of_a_space_is_measured_again(registered):
    settings = {"space": "toy", "datasets": {"noise": {"source": "registered", "registered": "noise"}}}
    settings |= {"search": {"dataset": "noise"}, "measure": {"depths": [3]}}
    for path in ("search/parsec", "measure_depths"):
        assert job_text(job_of(load(settings), path), {}).startswith(f"# space: {source_hash(noise)}\n")


def test_space_without_mixed_operations_refuses_relaxed_methods(registered, tmp_path):
    plain = parsec.edge_space("plain", [(0, 1)], ["skip", "conv"])
    parsec.register_space("plain", plain, Networks())
    with pytest.raises(SettingsError, match="methods: got snas; allowed on plain, which has no mixed operations"):
        parsec.search("noise", space="plain", method="snas", output=tmp_path / "results")
    with pytest.raises(SettingsError, match="lacks `fixed`"):
        parsec.api.Genotype(plain.decode([0], "separate")).build(3, 4)


def test_spaces_whose_parts_do_not_fit_together_are_refused(registered):
    from dataclasses import replace

    cases = {
        "its `name` is 'toy'": ("other", TOY),
        "does not hold its 2 separate factors": ("toy", replace(TOY, shape=(3,))),
        "not the inverse of `decode`": ("toy", replace(TOY, encode=lambda architecture, form: [0, 1])),
        "does not read what `as_dict`": ("toy", replace(TOY, from_dict=lambda document: None)),
        "this name is built in": ("darts", SPACES["darts"]),
    }
    for said, (name, space) in cases.items():
        with pytest.raises(UserError, match=said):
            parsec.register_space(name, space, Networks())
    with pytest.raises(UserError, match="give an object of a subclass of SpaceNetworks"):
        parsec.register_space("toy", TOY, Networks)
    with pytest.raises(UserError, match="at most 64 letters"):
        parsec.register_dataset("../noise", noise)


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        (None, "returned NoneType; return"),
        ((noise()[0].float(), *noise()[1:]), r"images are float32 \[32, 8, 8, 3\]; return uint8"),
        ((noise()[0].permute(0, 3, 1, 2), *noise()[1:]), r"images are uint8 \[32, 3, 8, 8\]"),
        ((noise()[0], noise()[1][:5], *noise()[2:]), r"labels are int64 \[5\] of 32 images"),
        ((noise()[0], noise()[1] * 2, *noise()[2:]), "labels of all classes, 0 to 2"),
        ((*noise()[:2], noise()[2][:, :4, :4], noise()[3]), "training images of 8 pixels, test images of 4"),
    ],
)
def test_images_that_cannot_be_stored(registered, tmp_path, opened, said):
    parsec.register_dataset("bad", lambda: opened)
    with pytest.raises(DatasetError, match=said):
        parsec.search("bad", space="toy", output=tmp_path / "results")


def test_a_plugin_is_imported_when_an_unknown_name_is_asked_for(monkeypatch):
    registry, loaded = Registry("thing", {"built": 1}), []

    class Plugin:
        name, value = "mine", "mine_module"

        def load(self):
            loaded.append(self.name)
            registry.register("mine", 2, "c0de")

    monkeypatch.setattr("parsec.plugins.entry_points", lambda group: [Plugin()])
    load_plugins.cache_clear()
    assert (registry["built"], loaded) == (1, [])
    assert (registry["mine"], loaded) == (2, ["mine"])
    assert (list(registry), registry.code("built"), registry.code("mine")) == (["built", "mine"], None, "c0de")
    with pytest.raises(KeyError):
        registry["other"]

    monkeypatch.setattr(Plugin, "load", lambda self: 1 / 0)
    load_plugins.cache_clear()
    with pytest.raises(UserError, match=r"the plugin mine \(mine_module\) cannot be imported: ZeroDivisionError"):
        registry["other"]
    load_plugins.cache_clear()
