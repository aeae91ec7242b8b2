"""What trainings ask SLURM for, whichever options of the profile a site replaces by its own."""

import re

import pytest
from workspace import Workspace

SLURM = ("--workflow-profile", "workflow/profiles/slurm")
SIGNAL = "--signal=TERM@120"


@pytest.fixture
def asked(fresh: Workspace):
    """A function options → GPUs and `slurm_extra` of a planned search, and what Snakemake says besides."""
    fresh.change("compute.device", "auto")
    # A quiet profile and a message of a rule's own hide the resources of a job.
    fresh.rewrite("workflow/profiles/slurm/config.yaml", lambda text: re.sub(r"\nquiet:\n(  - .*\n)+", "\n", text))
    fresh.rewrite("workflow/rules/search.smk", lambda text: re.sub(r"    message:\n +\".*\n", "", text))

    def plan(*options: str) -> tuple[str | None, str | None, str]:
        done = Workspace(fresh.base, limits=()).run("--dry-run", "--until", "search", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        (resources,) = [line for line in (done.stdout + done.stderr).splitlines() if "gpu=" in line]
        named = dict(pair.split("=", 1) for pair in resources.partition(": ")[2].split(", "))
        return named.get("gpu"), named.get("slurm_extra"), done.stderr

    return plan


def test_site_resources_keep_gpu_and_signal(asked):
    for executor in ((), ("--executor", "dryrun")):
        gpu, extra, said = asked(*SLURM, *executor, "--default-resources", "slurm_account=abc")
        assert (gpu, extra) == ("1", SIGNAL)
        (line,) = [line for line in said.splitlines() if "gpus_per_training" in line]
        assert "asks for 1 GPU" in line
        assert "lacks" not in said


def test_unmodified_profile_gives_no_warning(asked):
    gpu, extra, said = asked(*SLURM)
    assert (gpu, extra) == ("1", SIGNAL)
    assert "gpus_per_training" not in said
    assert "lacks" not in said


@pytest.mark.parametrize(
    ("option", "own", "gpus", "of_all"),
    [
        ("--default-resources", ["gpus_per_training=0", 'slurm_extra="--exclusive"'], "0", True),
        ("--set-resources", ['search:slurm_extra="--exclusive"'], "1", False),
    ],
)
def test_options_without_the_signal_are_named(asked, option, own, gpus, of_all):
    gpu, extra, said = asked(*SLURM, option, *own)
    assert (gpu, extra) == (gpus, "--exclusive")
    (line,) = [line for line in said.splitlines() if "lacks" in line]
    assert line.startswith("slurm_extra of search")
    assert SIGNAL in line
    assert ("retrain" in line) == of_all


def test_one_machine_asks_for_no_signal(asked):
    _, extra, said = asked("--cores", "1")
    assert extra is None
    assert "lacks" not in said
