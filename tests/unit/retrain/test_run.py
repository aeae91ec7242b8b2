"""The stage `retrain`: outputs, interruptions, network width, test errors, and when the test split is read."""

import json
import os
import random
import shutil
import signal

import pytest
import torch
from safetensors.numpy import load_file

from parsec.config.base import RETRAIN_FILES, Retrain, Running
from parsec.config.training import Augmentation, Network
from parsec.data.augment import Augment
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import Images
from parsec.errors import CheckpointError, DatasetError, Interrupted, SettingsError
from parsec.network.cell_network import FixedNetwork, network_cost
from parsec.retrain.run import evaluate, retrain, training_images, widen
from parsec.retrain.trainer import Retrainer
from parsec.runtime.outputs import MARKER
from parsec.space.published import DARTS_V2

ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=60.0)


@pytest.fixture
def start(digits, make_job, tmp_path):
    """A function name → folder of a finished tiny training of that name; the same name continues its state."""

    def run(name, data=digits, seed=0, run=0, **changes):
        output, state = tmp_path / name, tmp_path / "state" / name
        names = Retrain("digits", "published", "DARTS_V2", seed, run)
        retrain(make_job(**changes), names, data, "DARTS_V2", output, state, ALWAYS)
        assert not state.exists()
        return output

    return run


def numbers(folder):
    """What must be equal between equal trainings: weights, metrics without times, errors."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    kept = {key: result[key] for key in ("test", "train", "complexity", "genotype")}
    return (
        (folder / "weights.safetensors").read_bytes(),
        [{**row, "seconds": None, "images_per_second": None} for row in rows],
        kept,
    )


def fail_at(monkeypatch, step, failure):
    """Make the trainer call `failure` once, before it has done step number `step`."""
    advance, armed = Retrainer.advance, [True]

    def wrapped(trainer):
        if trainer.step == step and armed:
            armed.clear()
            failure()
        return advance(trainer)

    monkeypatch.setattr(Retrainer, "advance", wrapped)


def test_outputs_and_result(start, digits):
    folder = start("a")
    assert sorted(path.name for path in folder.iterdir()) == sorted([MARKER, *RETRAIN_FILES])
    result = json.loads((folder / "result.json").read_text())
    assert result["kind"] == "retrain"
    assert (result["dataset"], result["origin"], result["method"]) == ("digits", "published", "DARTS_V2")
    assert result["complexity"] == network_cost(DARTS_V2, Network(cells=3, channels=2), 10, 8)._asdict()
    assert result["network"] == {"stem": "cifar", "cells": 3, "channels": 2}
    assert result["test"]["images"] == read_info(digits).counts["test"]
    assert 0 <= result["test"]["top5_error"] <= result["test"]["top1_error"] <= 100
    classes = result["test"]["classes"]
    assert [entry["class"] for entry in classes] == list(read_info(digits).classes)
    assert sum(entry["images"] for entry in classes) == result["test"]["images"]
    wrong = sum(entry["images"] * entry["top1_error"] for entry in classes)
    assert wrong / result["test"]["images"] == pytest.approx(result["test"]["top1_error"])
    assert result["cost"]["restarts"] == 0
    assert result["provenance"]["dataset_hash"] == read_info(digits).content_hash
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["images_per_second"] for row in rows] == [None, result["images_per_second"]]
    assert result["images_per_second"] == pytest.approx(64 / rows[-1]["seconds"])
    assert result["train"] == {"loss": rows[-1]["train_loss"], "accuracy": rows[-1]["train_accuracy"]}


def test_weights_hold_only_the_network(start):
    weights = load_file(start("a") / "weights.safetensors")
    body = [value for name, value in weights.items() if not name.startswith("auxiliary") and "running" not in name]
    assert sum(value.size for value in body) == network_cost(DARTS_V2, Network(cells=3, channels=2), 10, 8).parameters


def test_stored_average_has_recorded_errors(start, digits):
    folder = start("a", average=0.9, epochs=4)
    network = FixedNetwork(DARTS_V2, Network(cells=3, channels=2), 10, 8, auxiliary=True)
    weights = load_file(folder / "weights.safetensors")
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    network.to(memory_format=torch.channels_last)
    images = Images(open_split(digits, "test"), "cpu")
    augment = Augment(Augmentation(), read_info(digits), torch.channels_last)
    rates = evaluate(network, images, augment, 16, torch.device("cpu"), "float32")
    classes = json.loads((folder / "result.json").read_text())["test"]["classes"]
    assert [entry["top1_error"] for entry in classes] == rates.class_errors


def test_runs_and_seeds_differ(start):
    first = numbers(start("a"))
    assert numbers(start("b")) == first
    assert numbers(start("c", run=1))[0] != first[0]
    assert numbers(start("d", seed=1))[0] != first[0]


def test_crash_and_signal_change_nothing(start, monkeypatch):
    expected, rng = numbers(start("whole")), random.Random(0)

    def crash():
        raise RuntimeError("crash")

    fail_at(monkeypatch, rng.randrange(1, 7), crash)
    with pytest.raises(RuntimeError, match="crash"):
        start("broken")
    fail_at(monkeypatch, rng.randrange(5, 8), lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        start("broken")
    folder = start("broken")
    assert numbers(folder) == expected
    assert json.loads((folder / "result.json").read_text())["cost"]["restarts"] == 2


def test_test_split_is_opened_last(start, digits, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(digits, data)
    shutil.move(data / "test", tmp_path / "away")
    with pytest.raises(DatasetError, match="test"):
        start("a", data=data)
    assert '"epoch":2' in (tmp_path / "state" / "a" / "metrics.jsonl").read_text()
    assert not (tmp_path / "a" / "result.json").exists()
    shutil.move(tmp_path / "away", data / "test")
    assert numbers(start("a", data=data)) == numbers(start("b"))


def test_state_of_other_settings_is_refused(start, monkeypatch):
    def crash():
        raise RuntimeError("crash")

    fail_at(monkeypatch, 2, crash)
    with pytest.raises(RuntimeError, match="crash"):
        start("a")
    with pytest.raises(CheckpointError):
        start("a", drop_path=0.1)


def test_too_small_images_are_refused(start):
    with pytest.raises(SettingsError, match="too small"):
        start("a", network=Network(stem="imagenet", cells=3, channels=2))


def test_training_uses_both_splits(digits):
    info = read_info(digits)
    whole = training_images(digits, info, None)
    assert len(whole) == info.counts["train"] + info.counts["validation"]
    few = training_images(digits, info, 100)
    assert len(few) == 100
    assert len(training_images(digits, info, 10**6)) == len(whole)


def test_used_images_are_recorded(start, digits):
    there = read_info(digits).counts
    result = json.loads((start("a", train_images=99999) / "result.json").read_text())
    assert result["images"] == {"train": there["train"] + there["validation"]} == result["images_available"]


def test_cache_serves_the_same_training(digits, make_job, tmp_path):
    """The same architecture out of another file is another training, because its record names the file."""
    given = {name: tmp_path / f"{name}.json" for name in ("one", "other")}
    for name, file in given.items():
        file.write_text(json.dumps({**DARTS_V2.as_dict(), "origin": {"stage": name}}))

    def start(genotype, keep=True):
        names = Retrain("digits", "search", "parsec", 0, 0)
        places = (digits, str(given[genotype]), tmp_path / "out", tmp_path / "state", ALWAYS)
        retrain(make_job(), names, *places, keep)
        return (tmp_path / "out" / "result.json").read_bytes()

    first = start("one")
    shutil.rmtree(tmp_path / "out")
    assert start("one") == first
    with pytest.raises(CheckpointError, match=r"belongs to .* changed since: genotype_source"):
        start("other")
    shutil.rmtree(tmp_path / "out")
    assert json.loads(start("other"))["genotype_source"]["origin"] == {"stage": "other"}
    start("other", keep=False)
    assert not (tmp_path / "state").exists()


def test_width_is_largest_within_budget() -> None:
    network = Network(stem="imagenet", cells=14, channels=48)
    widened = widen(DARTS_V2, network, 600e6, 1000, 224)
    wider = widened.model_copy(update={"channels": widened.channels + 2})
    assert network_cost(DARTS_V2, widened, 1000, 224).multiply_adds < 600e6
    assert network_cost(DARTS_V2, wider, 1000, 224).multiply_adds >= 600e6
    assert widened.channels == 50
    assert widen(DARTS_V2, network, None, 1000, 224) == network


def test_budget_below_all_is_refused() -> None:
    with pytest.raises(SettingsError, match="raise it or lower cells"):
        widen(DARTS_V2, Network(stem="imagenet", cells=14, channels=48), 1e3, 1000, 224)


class Ranking(torch.nn.Module):
    """Answers the same ranking of classes for every image, 0 first."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, x):
        assert not self.training
        return -torch.arange(self.classes).float().expand(len(x), -1), None


class Remembering(torch.nn.Module):
    """Answers what it is told, image by image."""

    def __init__(self, answers, classes):
        super().__init__()
        self.answers, self.classes, self.next = torch.tensor(answers), classes, 0

    def forward(self, x):
        answers = self.answers[self.next : self.next + len(x)]
        self.next += len(x)
        return torch.nn.functional.one_hot(answers, self.classes).float(), None


class Labelled:
    """Images without pixels."""

    def __init__(self, labels):
        self.labels = torch.tensor(labels)

    def __len__(self):
        return len(self.labels)

    def evaluate(self, indices, augment):
        return torch.zeros(len(indices), 3, 1, 1), self.labels[indices]


def errors(digits, classes):
    part = open_split(digits, "test")
    augment = Augment(Augmentation(), read_info(digits), torch.contiguous_format)
    rates = evaluate(Ranking(classes), Images(part, "cpu"), augment, 50, torch.device("cpu"), "float32")
    return rates, torch.from_numpy(part.labels)


def test_errors_are_in_percent(digits):
    rates, labels = errors(digits, 10)
    assert rates.images == len(labels)
    assert rates.top1_error == 100 * int((labels != 0).sum()) / len(labels)
    assert rates.top5_error == 100 * int((labels >= 5).sum()) / len(labels)


def test_five_classes_have_no_top5(digits):
    assert errors(digits, 5)[0].top5_error is None


def test_balanced_error_weights_classes_equally():
    labels, answers = [0] * 8 + [1] * 2, [0] * 8 + [1, 0]
    network, images = Remembering(answers, 3), Labelled(labels)
    rates = evaluate(network, images, None, 4, torch.device("cpu"), "float32")
    assert (rates.class_images, rates.class_errors) == ([8, 2, 0], [0.0, 50.0, None])
    assert (rates.top1_error, rates.balanced_error) == (10.0, 25.0)


def test_class_errors_add_up(digits):
    rates, labels = errors(digits, 10)
    assert rates.class_images == torch.bincount(labels).tolist()
    assert rates.class_errors == [0.0] + [100.0] * 9
    assert rates.balanced_error == 90.0
