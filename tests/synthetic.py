"""Result documents with invented numbers, complete as readers need them."""

from typing import Any

from parsec.space.published import DARTS_V2

COST = {"wall_seconds": 1800.0, "device_seconds": 1800.0, "restarts": 0, "peak_memory_bytes": 1 << 30}
COST |= {"device": "cpu", "accelerator": False}
PROVENANCE = {
    "settings": {"settings": {"train_images": None, "batch_size": 96}},
    "settings_fingerprint": "5e77146500000000",
    "code_fingerprint": "c0de" * 4,
    "git": {"commit": "0" * 40, "dirty": True},
    "dataset_hash": "da7a" * 16,
    "stand_in": None,
    "machine": {"cpu": "Abacus", "cores": 2, "memory_bytes": 8 << 30, "platform": "Linux", "gpu": None},
    "versions": {"python": "3.11.9", "torch": "2.13.0"},
    "threads": 1,
    "deterministic": True,
}
SHARED = {
    "schema": 2,
    "dataset": "digits",
    "method": "parsec",
    "seed": 0,
    "genotype": DARTS_V2.as_dict(),
    "complexity": {"parameters": 21_300, "multiply_adds": 1_500_000},
    "selection": "mode of π after the last epoch",
    "cost": COST,
    "provenance": PROVENANCE,
}


def search_result(**changes: Any) -> dict[str, Any]:
    """A `result.json` of a search."""
    own = {"kind": "search", "stage": "search", "space": "darts", "parent": None, "entropy": 10.0, "mode_accuracy": 0.9}
    return SHARED | own | {"children": 320, "forward_images": 20480, "skip_share": 0.25} | changes


def retrain_result(**changes: Any) -> dict[str, Any]:
    """A `result.json` of a training from scratch."""
    network = {"stem": "cifar", "cells": 3, "channels": 4}
    test = {"images": 360, "top1_error": 2.5, "top5_error": None}
    own = {"kind": "retrain", "origin": "search", "run": 0, "network": network, "epochs": 600, "test": test}
    return SHARED | own | {"train": {"loss": 0.1, "accuracy": 0.99}} | changes


def fit_result(**changes: Any) -> dict[str, Any]:
    """A `fit.json` of π fitted to scores."""
    own = {"kind": "fit", "stage": "scores", "parent": None, "scored": 10, "kept": ["one"], "forward_images": 500}
    return {key: SHARED[key] for key in ("schema", "method", "seed", "cost", "provenance")} | own | changes
