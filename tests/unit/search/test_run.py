"""The stage: its files, the π it starts from, and input that cannot be used."""

import json
import shutil

import pandas as pd
import pytest
import torch

from parsec.config.base import SEARCH_FILES, Compute, as_json, fingerprint
from parsec.config.search import SearchOptimizer
from parsec.config.training import Network
from parsec.data.dataset import read_info
from parsec.errors import DatasetError, DeviceError, DivergedError, PriorError, SettingsError
from parsec.network.cell_network import network_cost
from parsec.prior.parquet import read_metadata, read_prior, write_prior
from parsec.records.provenance import SCHEMA
from parsec.runtime.checkpoint import checkpoint_files
from parsec.runtime.outputs import MARKER
from parsec.space.darts import from_dict
from parsec.space.spaces import from_text


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_files_of_a_search(start, digits, make_job, tmp_path):
    """The test split of this data set was deleted: a search never opens it."""
    assert not (digits / "test").exists()
    folder, job = start("a"), make_job()
    assert {path.name for path in folder.iterdir()} == {MARKER, *SEARCH_FILES}
    assert not (tmp_path / "state" / "a").exists()
    prior, metadata = read_prior(folder / "pi.parquet", "separate", "darts"), read_metadata(folder / "pi.parquet")
    assert metadata["settings_fingerprint"] == fingerprint(job)
    expected = {"stage": "search", "dataset": "digits", "method": "parsec", "seed": "0", "epoch": "2"}
    assert (expected | {"parent_fingerprint": ""}).items() <= metadata.items()
    assert from_text((folder / "genotype.json").read_text()) == prior.mode()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    frame = pd.read_parquet(folder / "trajectory.parquet")
    assert dict(zip(frame.epoch, frame.step, strict=True)) == {0: 0, 1: 3, 2: 6}
    assert frame[frame.epoch == 2].logit.tolist() == prior.logits[prior.mask].tolist()


def test_result_of_a_search(start, digits, make_job):
    result, job = result_of(start("a", seed=3)), make_job()
    assert set(result) == {
        "schema", "kind", "stage", "space", "method", "dataset", "seed", "genotype", "entropy", "mode_accuracy",
        "selection", "parent", "complexity", "skip_share", "ranking", "cost", "children", "forward_images", "images",
        "images_available", "provenance",
    }  # fmt: skip
    named = {"schema": SCHEMA, "kind": "search", "stage": "search", "space": "darts", "method": "parsec"}
    assert (named | {"dataset": "digits", "seed": 3, "parent": None}).items() <= result.items()
    mode = from_dict(result["genotype"])
    assert result["complexity"] == network_cost(mode, job.settings.network, 10, 8)._asdict()
    skips = sum(edge.primitive == "skip_connect" for cell in mode for node in cell for edge in node)
    assert result["skip_share"] == skips / 16
    assert (result["children"], result["forward_images"]) == (6 * 2 * 2, 6 * 2 * 2 * 16)
    assert result["cost"]["device"] == "cpu"
    assert result["cost"]["restarts"] == 0
    provenance = result["provenance"]
    assert provenance["settings"] == json.loads(as_json(job))
    assert provenance["dataset_hash"] == read_info(digits).content_hash


def test_finetune_starts_from_its_parent(start):
    first = start("a", seed=1)
    given = first / "pi.parquet"
    network = Network(cells=4, channels=2)
    second = start("b", stage="finetune", init_from="search", init_pi=given, seed=1, network=network)
    parent = result_of(second)["parent"]
    assert {"stage": "search", "dataset": "digits", "method": "parsec", "seed": 1}.items() <= parent.items()
    assert read_metadata(second / "pi.parquet")["parent_fingerprint"] == parent["pi_fingerprint"]
    frame = pd.read_parquet(second / "trajectory.parquet")
    before = read_prior(given, "separate", "darts")
    assert frame[frame.epoch == 0].logit.tolist() == before.logits[before.mask].tolist()


def test_prior_of_other_form_fails(start, tmp_path):
    given = start("a") / "pi.parquet"
    with pytest.raises(PriorError, match="factors 'separate', but 'edges' is needed"):
        start("b", stage="finetune", init_from="search", init_pi=given, method="darts")
    prior = read_prior(given, "separate", "darts")
    write_prior(tmp_path / "other.parquet", prior, {"space": "nasbench201"})
    with pytest.raises(PriorError, match="space 'nasbench201'"):
        start("b", stage="finetune", init_from="search", init_pi=tmp_path / "other.parquet")
    assert not (tmp_path / "b").exists()


def test_start_must_match_given_prior(start, tmp_path):
    with pytest.raises(SettingsError, match=r"finetune\.init_from is search, but no π was given"):
        start("a", stage="finetune", init_from="search")
    with pytest.raises(SettingsError, match=r"search\.init_from is uniform"):
        start("a", init_pi=tmp_path / "pi.parquet")


def test_fewer_images_than_a_batch(start):
    with pytest.raises(DatasetError, match="fewer than batch_size"):
        start("a", train_images=None, validation_images=None, batch_size=1000)


def test_used_images_are_recorded(start, digits):
    there = read_info(digits).counts
    result = result_of(start("a", train_images=99999, validation_images=64))
    assert result["images"] == {"train": there["train"], "validation": 64}
    assert result["images_available"] == {"train": there["train"], "validation": there["validation"]}


def test_damaged_data_set(start, digits, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(digits, data)
    shard = data / "train" / "images-000.npy"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(DatasetError, match=r"images-000\.npy"):
        start("a", data=data)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_missing_cuda(start):
    with pytest.raises(DeviceError, match=r"compute\.device: cuda was asked for"):
        start("a", compute=Compute(device="cuda"))


def test_divergence_keeps_last_good_checkpoint(start, tmp_path):
    weights = SearchOptimizer(learning_rate=10.0, weight_decay=1.0, gradient_clip=1e30)
    with pytest.raises(
        DivergedError, match=r"epoch \d+, step \d+.*weights\.learning_rate 10\.0.*last good checkpoint is"
    ) as e:
        start("a", epochs=50, weights=weights)
    assert e.value.exit_code == 3
    assert "\n" not in str(e.value)
    newest = checkpoint_files(tmp_path / "state" / "a")[-1]
    assert str(newest) in str(e.value)
    state = torch.load(newest, weights_only=True)["state"]["trainer"]
    assert state["step"] > 0
    assert state["weights"].isfinite().all()
    assert not (tmp_path / "a").exists()


def test_equal_searches_write_equal_bytes(start):
    first, second = start("a"), start("b")
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
