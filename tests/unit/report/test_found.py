"""The table and the figure of what searches on NAS-Bench-201 truly found."""

import json

import pytest

from parsec.errors import UserError
from parsec.report.figures.registry import figure_writer
from parsec.report.tables.base import latex, markdown
from parsec.report.tables.nasbench201 import make_found_table

PUBLISHED = """paper_version,search_space,method,sample_size_n,runs,search_time_s,dataset,split,metric,value,std,source
ICML2021,NAS-Bench-201,GDAS,,3,8640,CIFAR-10,test,accuracy_pct,93.51,0.13,a paper
ICML2021,NAS-Bench-201,GDAS,,3,8640,CIFAR-100,test,accuracy_pct,70.61,0.26,a paper
ICML2021,NAS-Bench-201,GDAS,,3,8640,ImageNet16-120,test,accuracy_pct,41.84,0.9,a paper
ICML2021,NAS-Bench-201,NASWOT,10,500,3.05,CIFAR-10,test,accuracy_pct,92.44,1.13,a paper
ICML2021,NAS-Bench-201,NASWOT,10,500,3.05,CIFAR-100,test,accuracy_pct,68.62,2.04,a paper
ICML2021,NAS-Bench-201,NASWOT,10,500,3.05,ImageNet16-120,test,accuracy_pct,41.31,4.11,a paper
ICML2021,NAS-Bench-201,GDAS,,3,8640,CIFAR-10,validation,accuracy_pct,90.0,0.21,a paper
arXiv-v1,NAS-Bench-201,GDAS,,3,8640,CIFAR-10,test,accuracy_pct,1.0,0.21,a paper
"""


def test_method_rows_precede_published(study, tmp_path):
    (tmp_path / "published.csv").write_text(PUBLISHED)
    table, numbers, _ = make_found_table(
        [study.lookup(), study.lookup(seeds=(0,), method="darts"), tmp_path / "published.csv"]
    )
    ours, bounds, published = table.sections
    assert ours.rows[0] == [
        "parsec",
        "2",
        "90.50 ± 0.71",
        "70.50 ± 0.71",
        "50.50 ± 0.71",
        "150",
        "1.5 CPU-hours",
        "cifar10",
    ]
    assert ours.rows[1] == ["darts", "1", "90.00", "70.00", "50.00", "100", "1 CPU-hours", "cifar10"]
    assert bounds.rows[0][:3] == ["Best of all", "–", "94.37"]
    assert published.rows[0] == ["GDAS", "3", "93.51 ± 0.13", "70.61 ± 0.26", "41.84 ± 0.90", "–", "0.1 GPU-days", "–"]
    assert published.rows[1][0] == "NASWOT, N = 10"
    assert len(numbers) == 4
    assert numbers["cifar10_mean"].tolist() == [90.5, 90.0, 93.51, 92.44]
    assert "GDAS" in markdown(table)
    assert "GDAS" in latex(table)


def test_wrong_inputs_are_refused(study, tmp_path):
    path = study.lookup()
    other = study.write("result.json", {"kind": "search"})
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    for inputs, message in (
        ([], "needs what"),
        ([path, path], "one run twice"),
        ([other], "not what `parsec lookup` writes"),
        ([tmp_path / "none.json"], "cannot be read"),
        ([path, tmp_path / "wrong.csv"], "no published table of NASWOT"),
    ):
        with pytest.raises(UserError, match=message) as refused:
            make_found_table(inputs)
        assert "\n" not in str(refused.value)


def test_figure_has_panel_per_dataset(study):
    path = study.lookup().with_suffix(".parquet")
    figure, data = figure_writer("found").__wrapped__([path])
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10", "CIFAR-100", "ImageNet16-120"]
    assert len(data) == 2 * 6
    document = json.loads(path.with_suffix(".json").read_text())
    last = data[data["epoch"] == 5].set_index("seed")["test_in16"]
    assert last.to_dict() == {run["seed"]: run["test_in16"] for run in document["runs"]}
    with pytest.raises(UserError, match="not the Parquet file"):
        figure_writer("found").__wrapped__([path.with_suffix(".json")])
