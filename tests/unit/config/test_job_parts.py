"""The file that hands a job its part of the settings."""

from pathlib import Path

import pytest

from parsec.config.base import fingerprint
from parsec.config.job_parts import MODULES, job_of, job_text, recorded_versions
from parsec.config.load import load, load_job
from parsec.records.code_hash import code_fingerprint

ROOT = Path(__file__).parents[3]
JOBS = ["prepare_dataset/digits", "search/parsec", "finetune/parsec", "retrain/digits", "measure_executor/search"]


@pytest.mark.parametrize("path", JOBS)
def test_job_file_loads_to_the_job(path, tmp_path):
    job = job_of(load(ROOT / "tests/workflow/tiny.yaml"), path)
    file = tmp_path / "job.yaml"
    file.write_text(job_text(job, {"code": "12ab", "images": "unknown"}))
    read = load_job(str(file), type(job))
    assert read == job
    assert fingerprint(read) == fingerprint(job)
    assert recorded_versions(file) == {"code": "12ab", "images": "unknown"}


def test_numbers_keep_every_digit(tmp_path):
    settings = load(ROOT / "tests/workflow/tiny.yaml")
    estimator = settings.search.estimator.model_copy(update={"cost_weight": 1e-07, "cost_target": 0.1 + 0.2})
    search = settings.search.model_copy(update={"estimator": estimator})
    job = job_of(settings.model_copy(update={"search": search}), "search/parsec")
    (tmp_path / "job.yaml").write_text(job_text(job, {}))
    assert load_job(str(tmp_path / "job.yaml"), type(job)).settings.estimator == estimator


def test_missing_file_has_no_versions(tmp_path):
    assert recorded_versions(tmp_path / "none.yaml") == {}


def test_modules_of_rules_exist():
    assert all(len(code_fingerprint(module)) == 16 for module in set(MODULES.values()))


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="no rule 'serch' reads settings"):
        job_of(load(ROOT / "tests/workflow/tiny.yaml"), "serch/parsec")
