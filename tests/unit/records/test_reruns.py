"""Fingerprints decide what runs again: after an edit, the stages and figures that the edit concerns, and no others."""

import shutil
from pathlib import Path

import pytest

import parsec
from parsec.config import job_parts, plan
from parsec.config.jobs import fingerprint
from parsec.config.load import load
from parsec.records.code_hash import code_fingerprint
from parsec.report.figures.registry import FIGURES, figure_module
from parsec.report.tables.registry import TABLES, table_module

ROOT = Path(__file__).resolve().parents[3]
FIGURE_MODULES = sorted({figure_module(name) for name in FIGURES})
MODULES = {*job_parts.MODULES.values(), *FIGURE_MODULES, *map(table_module, TABLES), "parsec.report.checklist"}
NASWOT = {f"parsec.zero_cost.{name}" for name in ("score", "ablation", "kernel_matrices", "fit_prior")}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, to be edited."""
    copy = tmp_path_factory.mktemp("copy") / "parsec"
    shutil.copytree(Path(parsec.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def fingerprints(package):
    code_fingerprint.cache_clear()
    return {module: code_fingerprint(module, package=package) for module in MODULES}


@pytest.fixture(scope="module")
def changed_by_edit(package):
    """Modules whose fingerprint differs after a line is added to a file of the package."""
    before = fingerprints(package)

    def changed(file):
        text = (package / file).read_text()
        (package / file).write_text(text + "\nedited = 1\n")
        try:
            return {module for module, value in fingerprints(package).items() if value != before[module]}
        finally:
            (package / file).write_text(text)

    return changed


def test_naswot_code_reruns_no_training(changed_by_edit):
    changed = changed_by_edit("config/zero_cost.py")
    assert changed >= NASWOT & set(job_parts.MODULES.values())
    assert not changed & {"parsec.search.run", "parsec.retrain.run", "parsec.data.prepare", "parsec.predictor.search"}


@pytest.mark.parametrize("module", FIGURE_MODULES)
def test_figure_code_redraws_only_it(changed_by_edit, module):
    assert changed_by_edit(module.removeprefix("parsec.").replace(".", "/") + ".py") == {module}


def test_search_code_reruns_searches(changed_by_edit):
    changed = changed_by_edit("search/parsec.py")
    assert "parsec.search.run" in changed
    assert not changed & {"parsec.retrain.run", "parsec.data.prepare", *FIGURE_MODULES}


def test_naswot_settings_rerun_no_search():
    settings = load(ROOT / "config/nasbench201.yaml")
    scores = {name: each.model_copy(update={"seed": 99}) for name, each in settings.scores.items()}
    edited = settings.model_copy(update={"scores": scores, "ablation": None, "kernels": None})
    runs = list(plan.searches(settings))
    assert runs == list(plan.searches(edited))
    for run in runs:
        jobs = (job_parts.search_job(each, run.stage, run.method) for each in (settings, edited))
        assert len({fingerprint(job) for job in jobs}) == 1
