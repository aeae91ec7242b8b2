"""The scripts of the pages on Python run as they are printed, in a folder of their own."""

import os
import re
import subprocess
import sys

from pages import blocks, install_plugin, write_scripts
from workspace import ROOT

RUN_ALL = "import runpy, sys\nfor script in sys.argv[1:]:\n    runpy.run_path(script, run_name='__main__')\n"
"""All scripts in one process, because importing PyTorch takes longer than most of them; each has names of its own."""


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_scripts_on_priors_genotypes_and_stages(tmp_path):
    scripts = write_scripts(tmp_path, "python.md")
    assert len(scripts) == 4
    out = run(tmp_path, "-c", RUN_ALL, *scripts)
    assert "accuracy with shared weights: 0." in out
    assert "3.35 M parameters, 528 M multiply-adds" in out
    assert "True ['normal', 'normal_concat', 'reduce', 'reduce_concat', 'space']" in out
    assert len(re.findall(r"retrain/digits/\S+: \d+\.\d % error", out)) == 4


def test_scripts_on_an_own_space(tmp_path):
    (script,) = write_scripts(tmp_path, "own-space.md")
    out = run(tmp_path, "-c", RUN_ALL, script)
    assert re.match(r"\('\w+', '\w+'\) 2\.\d\d nats", out)
    assert "Cost(parameters=" in out


AS_RULES = """
import subprocess, sys
from pathlib import Path

import parsec
from parsec.cli import main
from parsec.config.job_parts import job_of, job_text
from parsec.config.load import load

settings = load(Path("settings.yaml"))
assert "toy_space" in sys.modules
for job in ("prepare_dataset", "search"):
    name = {"prepare_dataset": "noise", "search": "parsec"}[job]
    Path(f"{job}.yaml").write_text(job_text(job_of(settings, f"{job}/{name}"), {"code": "0"}))
    print(Path(f"{job}.yaml").read_text())
assert main("prepare --settings prepare_dataset.yaml --output data".split()) == 0
search = "search --settings search.yaml --data data --seed 0 --output search --state state"
subprocess.run([sys.executable, "-m", "parsec", *search.split()], check=True)
print(parsec.load_prior("search/pi.parquet").space, parsec.load_genotype("search/genotype.json").space)
"""
"""What the workflow does with settings: the jobs' files, and commands, the search in a process of its own."""


def test_settings_on_an_own_space(tmp_path):
    install_plugin(tmp_path)
    (tmp_path / "settings.yaml").write_text(blocks("own-space.md", "yaml")["yaml0"])
    out = run(tmp_path, "-c", AS_RULES)
    # A changed module makes both jobs again.
    assert re.search(r"^# function: [0-9a-f]{16}$", out, re.MULTILINE)
    assert re.search(r"^# space: [0-9a-f]{16}$", out, re.MULTILINE)
    assert out.endswith("toy toy\n")
