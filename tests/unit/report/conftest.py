"""Synthetic runs for the reports: every number here is invented, and only shaped like a real one."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formats import check_html, check_latex, check_markdown
from naswot_files import invented_truth, write_some_scores

from parsec.report.tables.base import Table
from parsec.space.darts import PRIMITIVES
from parsec.space.factors import factors
from parsec.space.published import DARTS_V2
from parsec.space.spaces import NASBENCH201

CLOCK = "2000-01-01T00:00:00+00:00"


def provenance(settings=None, stand_in=None, dirty=False):
    return {
        "settings": {"settings": settings or {"train_images": None, "batch_size": 96}},
        "settings_fingerprint": "5e77146500000000",
        "code_fingerprint": "c0de" * 16,
        "version": "0.1.0",
        "git": {"commit": "0123456789abcdef", "dirty": dirty},
        "dataset_hash": "da7a" * 16,
        "stand_in": stand_in,
        "machine": {"cpu": "Synthetic CPU", "cores": 2, "memory_bytes": 8 << 30, "platform": "Linux", "gpu": None},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "numpy": "2.4.6"},
        "threads": 1,
        "deterministic": True,
        "started": CLOCK,
        "finished": CLOCK,
    }


def cost(seconds, accelerator=False):
    device = "Synthetic GPU" if accelerator else "cpu"
    spent = {"wall_seconds": seconds, "device_seconds": seconds, "restarts": 0, "peak_memory_bytes": 1 << 30}
    return spent | {"device": device, "accelerator": accelerator}


def parent(stage, dataset, method, seed):
    return stage and {"stage": stage, "dataset": dataset, "method": method, "seed": seed, "pi_fingerprint": "f" * 16}


def operations(progress):
    shares = np.ones(len(PRIMITIVES))
    shares[3] += 5 * progress
    shares[2] += 9 * progress**2
    counts = 8 * shares / shares.sum()
    return dict(zip(PRIMITIVES, counts.tolist(), strict=True))


def search_metrics(epochs, seed, start, rng):
    first = {"entropy": start, "mode_accuracy": 0.1, "operations": {c: operations(0.0) for c in ("normal", "reduce")}}
    yield {"event": "epoch", "epoch": 0, "step": 0, **first}
    for epoch in range(1, epochs + 1):
        done = epoch / epochs
        yield {"event": "step", "epoch": epoch, "step": 10 * epoch, "samples": 16.0, "entropy": start}
        yield {
            "event": "epoch",
            "epoch": epoch,
            "step": 10 * epoch,
            "entropy": start * math.exp(-(1.5 + 0.3 * seed) * done),
            "samples": 16.0,
            "ess_prior": 1.2 + 6 * done + rng.random(),
            "ess_weights": 1.1 + 3 * done + rng.random(),
            "train_loss": 2.0 - done,
            "validation_loss": 2.1 - done,
            "mode_accuracy": 0.1 + 0.8 * (1 - math.exp(-3 * done)) + 0.02 * rng.random(),
            "operations": {"normal": operations(done), "reduce": operations(done / 2)},
            "seconds": 3.0,
            "forward_images": 1024 * epoch,
        }


def trajectory(path, epochs, form, rng):
    rows = []
    every = factors(form)
    final = [rng.normal(0, 2.0, len(factor.choices)) for factor in every]
    for epoch in range(epochs + 1):
        for factor, logits in zip(every, final, strict=True):
            values = logits * epoch / epochs + 0.05 * rng.normal(size=len(logits)) * (epoch > 0)
            shares = np.exp(values) / np.exp(values).sum()
            for choice, logit, share in zip(factor.choices, values, shares, strict=True):
                key = {"cell": factor.cell, "node": factor.node, "slot": factor.slot, "factor": factor.kind}
                numbers = {"logit": float(logit), "probability": float(share)}
                rows.append({"epoch": epoch, "step": 10 * epoch, **key, "choice": choice, **numbers})
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture(autouse=True)
def tables_render(monkeypatch):
    """Every table that a test makes must come out whole in every format."""
    made, init = [], Table.__init__

    def record(table, *args, **kwargs):
        init(table, *args, **kwargs)
        made.append(table)

    monkeypatch.setattr(Table, "__init__", record)
    yield
    monkeypatch.undo()
    for table in made:
        check_markdown(table)
        check_latex(table)
        check_html(table)


class Study:
    """Writes synthetic runs below one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rng = np.random.default_rng(0)

    def write(self, path, document):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    def search(self, stage="search", dataset="digits", seed=0, *, start=None, epochs=20, seconds=1800.0, **more):
        accelerator, form = more.get("accelerator", False), more.get("form", "separate")
        method = more.get("method", "parsec")
        folder = f"{stage}/{dataset}/{method}/seed{seed}"
        result = {
            "schema": 1,
            "kind": "search",
            "stage": stage,
            "space": "darts",
            "method": method,
            "dataset": dataset,
            "seed": seed,
            "genotype": DARTS_V2.as_dict(),
            "entropy": 10.0,
            "mode_accuracy": 0.9,
            "selection": "mode of π after the last epoch; no test image was read",
            "parent": parent(start, more.get("start_dataset", dataset), method, seed),
            "complexity": {"parameters": 21_300, "multiply_adds": 1_500_000},
            "cost": cost(seconds, accelerator),
            "children": 320,
            "forward_images": 20480,
            "skip_share": 0.25,
            "provenance": provenance(stand_in=more.get("stand_in"), dirty=more.get("dirty", False)),
        }
        path = self.write(f"{folder}/result.json", result)
        entropy = 50.285 if start is None else 12.0
        rows = search_metrics(epochs, seed, entropy, self.rng)
        (path.parent / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        trajectory(path.parent / "trajectory.parquet", epochs, form, self.rng)
        return path

    def nasbench201(self, mode, seed=0, epochs=6):
        """A search on NAS-Bench-201 whose π moves from uniform to its mode."""
        path = self.search(dataset="cifar10", seed=seed, epochs=epochs)
        result = json.loads(path.read_text(encoding="utf-8")) | {"space": "nasbench201", "genotype": mode.as_dict()}
        path.write_text(json.dumps(result), encoding="utf-8")
        rows, lines, metrics = [], [], path.with_name("metrics.jsonl")
        chosen = NASBENCH201.encode(mode, "separate")
        for epoch in range(epochs + 1):
            counts = dict.fromkeys(NASBENCH201.primitives, 0.0)
            for factor, choice in zip(NASBENCH201.factors("separate"), chosen, strict=True):
                logits = 3.0 * epoch / epochs * (np.arange(5) == choice) + 0.4 * self.rng.random(5) * (epoch > 0)
                shares = np.exp(logits) / np.exp(logits).sum()
                key = {"cell": factor.cell, "node": factor.node, "slot": factor.slot, "factor": factor.kind}
                for name, logit, share in zip(factor.choices, logits.tolist(), shares.tolist(), strict=True):
                    counts[name] += share
                    rows.append(
                        {
                            "epoch": epoch,
                            "step": 10 * epoch,
                            **key,
                            "choice": name,
                            "logit": logit,
                            "probability": share,
                        }
                    )
            lines.append({"cell": counts})
        pq.write_table(pa.Table.from_pylist(rows), path.with_name("trajectory.parquet"))
        recorded = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        for row in recorded:
            if row["event"] == "epoch":
                row["operations"] = lines[row["epoch"]]
        metrics.write_text("".join(json.dumps(row) + "\n" for row in recorded), encoding="utf-8")
        return path

    def lookup(self, seeds=(0, 1), epochs=5, method="parsec"):
        """What `lookup` writes for some searches, as JSON and Parquet."""
        names, runs, rows = ("cifar10", "cifar100", "in16"), [], []
        for seed in seeds:
            key = {"stage": "search", "dataset": "cifar10", "method": method, "seed": seed}
            reached = {f"test_{name}": 90.0 + seed - 20.0 * place for place, name in enumerate(names)}
            ranks = {f"rank_{name}": 100 * (seed + 1) for name in names}
            spent = {"cost": cost(3600.0 * (seed + 1)), "forward_images": 1000 * epochs}
            cell = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
            runs.append({**key, "base": method, **reached, **ranks, **spent, "architecture": cell})
            for epoch in range(epochs + 1):
                drawn = {f"expected_{name}": reached[f"test_{name}"] - epochs + epoch for name in names}
                spent = {"forward_images": 1000 * epoch, "seconds": 2.0 * epoch}
                rows.append({**key, "epoch": epoch, **spent, **reached, **drawn})
        best, mean = (dict.fromkeys(names, value) for value in (94.37, 87.06))
        path = self.write(
            f"lookup/{method}.json", {"kind": "lookup", "schema": 1, "runs": runs, "best": best, "mean": mean}
        )
        pq.write_table(pa.Table.from_pylist(rows), path.with_suffix(".parquet"))
        return path

    def ranking(self):
        """What `ranking` writes for searches of two methods at two budgets."""
        rows = [
            {"stage": "search", "dataset": "cifar10", "method": method, "base": method, "seed": seed, "moment": moment,
             "forward_images": images, "architectures": 100, "truth": 0.1 * seed, "parameters": 0.2, "weightless": -0.1}
            for method in ("parsec", "darts") for seed in (0, 1, 2)
            for moment, images in (("warmup", 40_000), ("end", 150_000), ("end", 600_000))
        ]  # fmt: skip
        return self.write("ranking/ranking.json", {"kind": "ranking", "schema": 1, "truth": "a table", "rows": rows})

    def budget(self, images):
        """What `lookup` and `ranking` write for searches of two methods at one budget."""
        rows, data = [], ("cifar10", "cifar100", "in16")
        found = json.loads(self.lookup().read_text())
        found["runs"] += [{**run, "method": "random", "base": "random"} for run in found["runs"]]
        found["runs"] = [{**run, "forward_images": images} for run in found["runs"]]
        found["runs"].append({**found["runs"][0], "stage": "finetune", "forward_images": 10 * images})
        zero, mean = dict.fromkeys(data, 0.0), dict.fromkeys(data, 70.0)
        found["trivial"] = [{"name": "convolutions", "architectures": 64, "mean": mean, "std": zero}]
        for seed, (moment, tau) in itertools.product((0, 1), (("warmup", 0.6), ("end", 0.3))):
            key = {"stage": "search", "method": "parsec", "base": "parsec", "seed": seed, "moment": moment}
            taus = {"truth": tau + 0.1 * seed, "parameters": 0.2, "weightless": -0.1}
            rows.append({**key, "forward_images": images, **taus})
        ranked = {"kind": "ranking", "schema": 1, "truth": "a table", "rows": rows}
        return [self.write(f"{images}/lookup.json", found), self.write(f"{images}/ranking.json", ranked)]

    def retrain(self, error, origin="search", seed=0, run=0, *, dataset="digits", stem="cifar", **more):
        method = more.get("method", "parsec")
        result = {
            "schema": 1,
            "kind": "retrain",
            "dataset": dataset,
            "origin": origin,
            "method": method,
            "seed": seed,
            "run": run,
            "genotype": DARTS_V2.as_dict(),
            "complexity": {"parameters": more.get("parameters", 30_000), "multiply_adds": 2_000_000},
            "network": {"stem": stem, "cells": more.get("cells", 5), "channels": more.get("channels", 8)},
            "epochs": more.get("epochs", 3),
            "test": {"images": 360, "top1_error": error, "top5_error": more.get("top5"), **more.get("tested", {})},
            "train": {"loss": 0.1, "accuracy": 0.98},
            "selection": "weights after the last epoch",
            "cost": cost(600.0, more.get("accelerator", False)),
            "provenance": provenance(more.get("settings"), more.get("stand_in")),
        } | {key: more[key] for key in ("images", "images_available") if key in more}
        return self.write(f"retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}/result.json", result)

    def depths(self):
        methods = {("parsec", "sequential"): 10, ("parsec", "auto"): 40, ("darts", "auto"): 90}
        rows = [
            {"method": method, "executor": executor, "cells": cells, "peak_bytes": factor * cells << 20}
            for (method, executor), factor in methods.items()
            for cells in (3, 5, 8)
        ]
        return self.write("measure/depths.json", {"device": "cpu", "rows": rows, "provenance": provenance()})

    def executor(self, accelerator=False):
        one = {"setting": "one child trained alone", "executor": "sequential", "samples": 1, "seconds": 0.11}
        rows = [one | {"seconds_spread": [0.10, 0.13], "peak_bytes": 410 << 20}]
        for samples in (1, 2, 4, 8, 16):
            seconds = 0.05 + 0.13 * samples
            for executor, factor in (("sequential", 1), ("grouped", samples)):
                row = {"setting": "search step", "executor": executor, "samples": samples, "seconds": seconds}
                rows.append(row | {"seconds_spread": [0.95 * seconds, 1.1 * seconds], "peak_bytes": factor * 432 << 20})
        darts = {"setting": "DARTS supernet", "executor": "darts", "samples": 1, "seconds": 2.4}
        rows.append(darts | {"seconds_spread": [2.3, 2.6], "peak_bytes": 3200 << 20})
        head = {"stage": "search", "network": {"stem": "cifar", "cells": 8, "channels": 16}, "batch_size": 64}
        device = "Synthetic GPU" if accelerator else "cpu"
        document = head | {"image_size": 32, "device": device, "rows": rows, "provenance": provenance()}
        return self.write("measure/search/executor.json", document)


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path / "results")


@pytest.fixture
def results(study):
    """Two seeds, proxy search then fine-tuning, 3 and 2 trainings of the found genotypes, one published genotype."""
    searches = [study.search(seed=seed) for seed in (0, 1)]
    tunings = [study.search("finetune", seed=seed, start="search", seconds=900.0) for seed in (0, 1)]
    trainings = [study.retrain(3.0 + seed + run / 10, seed=seed, run=run) for seed in (0, 1) for run in range(3)]
    tuned = [study.retrain(2.5 + run, "finetune", run=run, parameters=40_000) for run in range(2)]
    known = study.retrain(4.0, "published", method="DARTS_V2")
    return [*searches, *tunings, *trainings, *tuned, known]


@pytest.fixture(scope="session")
def truth():
    """Random accuracies in the benchmark's columns."""
    return invented_truth()


@pytest.fixture(scope="session")
def benchmark(truth, tmp_path_factory):
    """File of `truth`."""
    path = tmp_path_factory.mktemp("benchmark") / "nasbench201.parquet"
    truth.to_parquet(path, index=False)
    return path


@pytest.fixture
def scores(truth, tmp_path):
    """A function changes → a `scores.parquet`; see `write_some_scores`."""
    return lambda **changes: write_some_scores(tmp_path / f"scores{changes.get('seed', 0)}.parquet", truth, **changes)
