"""Fingerprints of the stages' own code: an edit re-runs what it decides, and nothing else."""

import shutil
from pathlib import Path

import pytest

import parsec
from parsec.config import plan
from parsec.config.base import fingerprint
from parsec.config.job_parts import MODULES, search_job
from parsec.config.load import load
from parsec.records.code_hash import code_fingerprint
from parsec.report.registry import FIGURES, TABLES, figure_code, table_code

STAGES = {kind: (module,) for kind, module in MODULES.items()}
ITEMS = {f"figure {name}": (figure_code(name),) for name in FIGURES} | {f"table {n}": (table_code(n),) for n in TABLES}


@pytest.fixture
def changed(tmp_path):
    """A function file, old text, new text → the stages, figures and tables whose fingerprint the edit changes."""
    copy = tmp_path / "parsec"
    shutil.copytree(Path(parsec.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def fingerprints():
        code_fingerprint.cache_clear()
        return {name: code_fingerprint(*modules, package=copy) for name, modules in (STAGES | ITEMS).items()}

    def edit(file, old, new):
        before, text = fingerprints(), (copy / file).read_text()
        assert text.count(old) == 1
        (copy / file).write_text(text.replace(old, new))
        after = fingerprints()
        return {name for name in before if before[name] != after[name]}

    yield edit
    code_fingerprint.cache_clear()


def test_naswot_settings_rerun_no_search(changed):
    rerun = changed("config/zero_cost.py", "class KernelsJob(", "class Unread:\n    pass\n\n\nclass KernelsJob(")
    assert "kernels" in rerun
    assert not rerun & {"search", "finetune", "transfer", "retrain", "prepare_dataset", "measure_executor"}


def test_retraining_settings_rerun_no_search(changed):
    rerun = changed("config/retrain.py", "class RetrainJob(", "class Unread:\n    pass\n\n\nclass RetrainJob(")
    assert "retrain" in rerun
    assert not rerun & {"search", "finetune", "transfer", "prepare_dataset", "measure_executor"}


def test_one_figure_redraws_alone(changed):
    rerun = changed("report/figures/curves.py", "def plot_accuracy(", "def plot_accuracy(unused=None, *, ")
    assert rerun == {"figure accuracy"}


def test_one_table_is_made_alone(changed):
    rerun = changed("report/tables/naswot.py", "def make_ablation_table(", "def make_ablation_table(unused=None, *, ")
    assert rerun == {"table naswot-ablation"}


def test_search_code_reruns_only_searches(changed):
    rerun = changed("search/parsec.py", "def weight_step(self, ", "def weight_step(self, unused=None, *, ")
    assert {"search", "finetune", "transfer"} & rerun
    assert not rerun & {"retrain", "prepare_dataset", "score"}


def test_naswot_keys_leave_search_jobs():
    settings = load(Path(__file__).parents[3] / "config/nasbench201.yaml")
    scores = {name: each.model_copy(update={"seed": 99}) for name, each in settings.scores.items()}
    edited = settings.model_copy(update={"scores": scores, "ablation": None, "kernels": None})
    for run in plan.searches(settings):
        jobs = (search_job(each, run.stage, run.method) for each in (settings, edited))
        assert len({fingerprint(job) for job in jobs}) == 1
