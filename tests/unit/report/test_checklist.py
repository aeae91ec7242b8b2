"""The checklist answers from the records, and with no where they show nothing."""

import pytest
from synthetic import fit_result

from parsec.errors import UserError
from parsec.report.checklist import SECTIONS, write_checklist
from parsec.space.nasbench201 import architectures


def answers(results, output):
    write_checklist(results, output)
    lines = output.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")]
    return {row[0]: (row[1], row[2]) for row in rows if row[1] in ("yes", "partly", "no")}


def test_every_item_has_evidence(results, tmp_path):
    checklist = answers(results, tmp_path / "c.md")
    assert list(checklist) == [item for items in SECTIONS.values() for item, _ in items]
    assert {value for value, _ in checklist.values()} == {"yes", "partly", "no"}
    assert all(evidence for _, evidence in checklist.values())


def test_seeds_cost_code_from_records(results, tmp_path):
    checklist = answers(results, tmp_path / "c.md")
    assert checklist["Several runs, with their seeds"] == ("yes", "2 search seeds, 3 training seeds, 8 trainings")
    assert (
        "search, all stages and seeds: 1.5 CPU-hours; training from scratch: 1.5 CPU-hours"
        in (checklist["Cost of the whole method, end to end"][1])
    )
    assert "`0123456789ab`" in checklist["Code of the NAS method"][1]


def test_missing_evidence_answers_no(results, tmp_path):
    checklist = answers(results, tmp_path / "c.md")
    for item in ("Comparison with random search", "Ablation studies", "Tabular or surrogate benchmarks"):
        assert checklist[item][0] == "no"


def test_dirty_code_is_no_yes(study, tmp_path):
    checklist = answers([study.search(dirty=True), study.retrain(3.0)], tmp_path / "c.md")
    assert checklist["Code of the NAS method"][0] == "partly"
    assert "1 of 1 results came from uncommitted changes" in checklist["Code of the NAS method"][1]
    assert checklist["Several runs, with their seeds"][0] == "no"


def test_selection_and_stand_in_are_stated(study, tmp_path):
    write_checklist([study.search(stand_in="digits stand in for CIFAR-10")], tmp_path / "c.md")
    text = (tmp_path / "c.md").read_text(encoding="utf-8")
    assert "no test image was read" in text
    assert "digits stand in for CIFAR-10" in text


def test_a_tabular_benchmark_answers_for_training(study, tmp_path):
    searches = [study.nasbench201(architectures()[5], seed=seed) for seed in (0, 1)]
    checklist = answers(searches, tmp_path / "c.md")
    assert checklist["Tabular or surrogate benchmarks"] == (
        "yes",
        "2 searches on NAS-Bench-201, whose accuracies are looked up",
    )
    assert (
        checklist["Several runs, with their seeds"][0]
        == checklist["Same evaluation protocol for all methods"][0]
        == "yes"
    )
    assert checklist["Comparison with random search"] == ("no", "methods: parsec")


def test_no_results_is_an_error(study, tmp_path):
    for given in ([], [study.write("fit/seed0/fit.json", fit_result())]):
        with pytest.raises(UserError, match="needs result files"):
            write_checklist(given, tmp_path / "c.md")
