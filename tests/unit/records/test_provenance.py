"""Provenance: the settings, code, data, machine and times of a result."""

import json
import subprocess
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from parsec.config.base import Running, fingerprint
from parsec.records.provenance import RunStart, git_state, provenance

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
RUN_START = RunStart(STARTED, "dd", {"commit": "0" * 40, "dirty": False})


def git(folder, *arguments):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return package


def test_provenance_of_a_result():
    job = Running()
    info = SimpleNamespace(content_hash="cc", stand_in="stands in for ImageNet")
    document = provenance(job, RUN_START, info)
    assert json.loads(json.dumps(document)) == document
    assert document["settings"]["progress_seconds"] == 5.0
    assert document["settings_fingerprint"] == fingerprint(job)
    assert (document["code_fingerprint"], document["dataset_hash"]) == ("dd", "cc")
    assert document["stand_in"] == "stands in for ImageNet"
    assert document["git"] == {"commit": "0" * 40, "dirty": False}
    assert document["started"] == "2026-01-02T01:04:05+00:00"
    assert document["finished"] > document["started"]
    assert document["threads"] >= 1


def test_provenance_without_data_set():
    document = provenance(Running(), RUN_START, None)
    assert document["dataset_hash"] is None
    assert document["stand_in"] is None


def test_clean_and_dirty_work_trees(repository):
    clean = git_state(repository)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (repository.parent / "notes").write_text("outside the package")
    assert git_state(repository) == clean
    (repository / "__init__.py").write_text("x = 1\n")
    assert git_state(repository) == {"commit": clean["commit"], "dirty": True}


def test_untracked_package_has_no_commit(repository):
    installed = repository / "site-packages" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert git_state(installed) is None


def test_no_repository_or_no_git(tmp_path, repository, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository) is None
