"""The workflow runs from elsewhere: another folder, another workflow's module, an installed wheel, a git repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workspace import ROOT, SOURCES, counts, environment

TINY = ROOT / "tests" / "workflow" / "tiny.yaml"
MODULE = """
configfile: "tiny.yaml"

module parsec:
    snakefile: {snakefile}
    config: config

use rule * from parsec as parsec_*

rule everything:
    input: rules.parsec_all.input
    default_target: True
"""
PARTS = {"prepare_dataset": 2, "search": 1, "finetune": 1, "transfer": 1, "retrain": 3, "table": 2, "html_report": 1}


def call(*words, cwd, **variables):
    command = [sys.executable, "-m", *map(str, words)]
    shell = {**environment(), **variables}
    done = subprocess.run(command, cwd=cwd, env=shell, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(said):
    """Jobs by rule, without the name that a module puts before them."""
    return {rule.removeprefix("parsec_"): count for rule, count in counts(said).items()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Variables of an environment that has the built wheel instead of the clone."""
    sources, wheels, prefix = (tmp_path_factory.mktemp(name) for name in ("sources", "wheels", "prefix"))
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.split("\0"):
        if name.split("/")[0] in {*SOURCES, "pyproject.toml", "README.md", "LICENSE"}:
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            (sources / name).write_bytes((ROOT / name).read_bytes())
    call("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, ".", cwd=sources)
    wheel = next(wheels.glob("*.whl"))
    call("pip", "install", "-q", "--no-deps", "--ignore-installed", "--prefix", prefix, wheel, cwd=wheels)
    return {"PYTHONPATH": str(next(prefix.glob("lib/*/site-packages")))}


@pytest.fixture
def work(tmp_path):
    (tmp_path / "tiny.yaml").write_bytes(TINY.read_bytes())
    return tmp_path


def test_clone_plans_from_elsewhere(work):
    said = call("snakemake", "-n", "-s", ROOT / "workflow" / "Snakefile", "--cores", "1", cwd=work)
    assert counts(said)["retrain"] == 9
    said = call("snakemake", "-n", "--directory", work, "--cores", "1", cwd=ROOT)
    assert counts(said)["retrain"] == 9


def test_module_plans_the_whole_chain(work):
    (work / "Snakefile").write_text(MODULE.format(snakefile=repr(str(ROOT / "workflow" / "Snakefile"))))
    jobs = planned(call("snakemake", "-n", "--cores", "1", cwd=work))
    assert PARTS.items() <= jobs.items()


def test_wheel_runs_with_its_data(work, installed):
    root = Path(call("parsec", "run", "--where", cwd=work, **installed).strip())
    assert not root.is_relative_to(ROOT)
    assert (root / "config" / "paper.yaml").read_bytes() == (ROOT / "config" / "paper.yaml").read_bytes()
    tiny = ("--cores", "1", "--configfile", "tiny.yaml")
    assert PARTS.items() <= counts(call("parsec", "run", "-n", *tiny, cwd=work, **installed)).items()
    call("parsec", "run", "results/data/digits/dataset.json", *tiny, cwd=work, **installed)
    assert (work / "results" / "data" / "digits" / "dataset.json").exists()
    rows = "from parsec.report.inputs import published_rows; print(len(published_rows('cifar10')))"
    assert int(subprocess.check_output([sys.executable, "-c", rows], cwd=work, env=os.environ | installed)) > 10


def test_module_is_read_from_git(work, installed):
    repository = work / "repository"
    repository.mkdir()
    for name in SOURCES:
        subprocess.run(["cp", "-r", ROOT / name, repository], check=True)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "all")):
        subprocess.run([*git, *words], cwd=repository, check=True, capture_output=True)
    remote = f'gitfile("{repository}", path="workflow/Snakefile", ref="main")'
    (work / "Snakefile").write_text(MODULE.format(snakefile=remote))
    jobs = planned(call("snakemake", "-n", "--cores", "1", cwd=work, **installed))
    assert PARTS.items() <= jobs.items()
