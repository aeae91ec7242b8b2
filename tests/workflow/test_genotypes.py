"""Genotypes of one's own in the workflow, and the page that says how they are written."""

import json
import re
import shlex

import pytest
import yaml
from workspace import ROOT

from parsec.cli import main
from parsec.config import plan
from parsec.config.load import load
from parsec.space.published import DARTS_V1, DARTS_V2, read_genotype

PAGE = ROOT / "workflow" / "docs" / "genotypes.md"
RUN = "retrain/digits/published/mine/seed0/run0"


def printed(genotype):
    """As pt.darts prints a genotype: the pairs of each node in a list of their own."""
    cells = {name: [[tuple(edge) for edge in node] for node in cell] for name, cell in genotype._asdict().items()}
    return "Genotype(" + ", ".join(f"{name}={cell}, {name}_concat=range(2, 6)" for name, cell in cells.items()) + ")"


def test_changed_genotype_file_is_retrained(fresh):
    file = fresh.work / "mine.txt"
    file.write_text(f"BEST = {printed(DARTS_V1)}\n")
    fresh.change("retrain.digits.published", ["DARTS_V2", "$HERE/mine.txt"])
    refused = fresh.run("--dry-run")
    assert refused.returncode != 0
    said = (refused.stdout + refused.stderr).splitlines()
    assert len(said) == 1
    assert said[0].startswith("retrain.digits.published: mine: the variable HERE in $HERE/mine.txt is not set")

    fresh.change("retrain.digits.published", ["DARTS_V2", "mine.txt"])
    assert fresh.planned()["retrain"] == 4
    target = ("--workflow-profile", "none", f"results/{RUN}/result.json")
    done = fresh.run(*target)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((fresh.results / RUN / "result.json").read_text())
    assert (result["origin"], result["method"]) == ("published", "mine")
    assert result["genotype"] == DARTS_V1.as_dict()
    assert result["genotype_source"]["origin"] is None
    assert fresh.planned(*target) == {}

    file.write_text(printed(DARTS_V2))
    assert fresh.planned(*target) == {"retrain": 1}
    file.unlink()
    gone = fresh.run("--dry-run", *target)
    assert gone.returncode != 0
    assert (gone.stdout + gone.stderr).startswith(
        "retrain.digits.published: mine: mine.txt: neither a published genotype"
    )


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Blocks of the page by language, its two files written into the working directory."""
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    assert blocks.keys() == {"python", "json", "sh", "yaml"}
    (tmp_path / "my_genotype.txt").write_text(blocks["python"])
    (tmp_path / "my_genotype.json").write_text(blocks["json"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENOTYPES", str(tmp_path))
    return blocks


def test_documented_forms_give_one_genotype(written):
    assert read_genotype("my_genotype.txt") == read_genotype("my_genotype.json") == DARTS_V2
    assert json.loads(written["json"]) == DARTS_V2.as_dict()


def test_the_commands_of_the_page_run(written, capsys):
    lines = written["sh"].splitlines()
    codes = [main(shlex.split(line.removeprefix("parsec "))) for line in lines]
    assert codes == [0] * len(lines)
    counted = [json.loads(line)["parameters"] for line in capsys.readouterr().out.splitlines()]
    assert counted[:2] == [3_349_342, 4_718_752]


def test_documented_settings_are_planned(written):
    small = yaml.safe_load((ROOT / "tests/workflow/tiny.yaml").read_text())
    settings = plan.on_this_machine(load({**small, **yaml.safe_load(written["yaml"])}))
    assert [run.method for run in plan.retrains(settings)] == ["parsec", "DARTS_V2", "my_genotype", "from_json"]
