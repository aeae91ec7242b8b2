"""What a search found is looked up truly, and only for searches on NAS-Bench-201."""

import json

import numpy as np
import pandas as pd
import pytest

from parsec.errors import BenchmarkError, UserError
from parsec.report.lookup import lookup
from parsec.space.nasbench201 import EDGES, OPERATIONS, SIZE, architecture, architectures, index_of
from parsec.tabular.nasbench201 import DATA

FOUND = architecture(["nor_conv_3x3", "skip_connect", "none", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3"])
TESTED = [f"{data}_test_200" for data in DATA] + ["naslib_cifar10_val_200"]


@pytest.fixture(scope="module")
def table():
    """A made-up table: all accuracies are random."""
    random = np.random.default_rng(0)
    names = {name: random.uniform(10, 95, SIZE) for name in TESTED}
    return pd.DataFrame({"arch_index": range(SIZE), "arch_str": [str(each) for each in architectures()], **names})


@pytest.fixture
def benchmark_file(table, tmp_path):
    table.to_parquet(tmp_path / "benchmark.parquet", index=False)
    return tmp_path / "benchmark.parquet"


def test_architecture_and_modes_looked_up(study, table, benchmark_file, tmp_path):
    run = study.nasbench201(FOUND, epochs=3).parent
    lookup([run, run / "result.json"], benchmark_file, tmp_path / "true")
    document = json.loads((tmp_path / "true.json").read_text())
    index = index_of(FOUND)
    (entry,) = document["runs"]
    assert (entry["index"], entry["architecture"]) == (index, str(FOUND))
    for data in DATA:
        accuracies = table[f"{data}_test_200"]
        assert entry[f"test_{data}"] == accuracies[index]
        assert entry[f"rank_{data}"] == accuracies.rank(ascending=False)[index]
        assert document["best"][data] == accuracies.max()
    rows = pd.read_parquet(tmp_path / "true.parquet")
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert rows["architecture"].iloc[-1] == str(FOUND)
    # A uniform π has no mode.
    assert rows.loc[0, ["index", "architecture", "test_in16", "rank_in16"]].isna().all()
    assert rows["test_in16"].iloc[-1] == table["in16_test_200"][index]


def test_choices_without_search(study, table, benchmark_file, tmp_path):
    run = study.nasbench201(FOUND, epochs=3)
    result = json.loads(run.read_text())
    result["provenance"]["settings"]["settings"] = {"warmup": {"weightless_share": 0.6}}
    run.write_text(json.dumps(result))
    lookup([run.parent], benchmark_file, tmp_path / "true")
    convolutions, largest, warmup = json.loads((tmp_path / "true.json").read_text())["trivial"]
    tested = table["cifar10_test_200"]
    only = [i for i, each in enumerate(architectures()) if set(each.operations) <= {"nor_conv_1x1", "nor_conv_3x3"}]
    assert convolutions["architectures"] == len(only) == 64
    assert convolutions["mean"]["cifar10"] == pytest.approx(tested[only].mean())
    assert convolutions["std"]["cifar10"] == pytest.approx(tested[only].std(ddof=0))
    assert largest["mean"]["cifar10"] == tested[index_of(architecture(["nor_conv_3x3"] * 6))]
    # Three of five operations have no weights: with a share of 0.6 the warm-up samples uniformly.
    assert warmup["mean"]["cifar10"] == pytest.approx(tested.mean())


def test_recorded_selection_is_looked_up(study, table, benchmark_file, tmp_path):
    """Random searches keep the best of those judged, while their π stays uniform; before the first there is none."""
    run, selected = study.nasbench201(FOUND, epochs=3).parent, [None, None, 7, 9]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in (row for row in rows if row["event"] == "epoch"):
        index = selected[row["epoch"]]
        row |= {"genotype": None if index is None else architectures()[index].as_dict(), "forward_images": row["step"]}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lookup([run], benchmark_file, tmp_path / "true")
    looked_up = pd.read_parquet(tmp_path / "true.parquet")
    assert looked_up["index"].isna().tolist() == [True, True, False, False]
    assert looked_up["index"].dropna().tolist() == [7, 9]
    assert looked_up["test_cifar10"].iloc[-1] == table["cifar10_test_200"][9]
    assert looked_up["forward_images"].tolist() == [0, 10, 20, 30]
    assert looked_up["seconds"].tolist() == [0.0, 3.0, 6.0, 9.0]


def test_expected_accuracy_matches_sampling(study, table, benchmark_file, tmp_path):
    run = study.nasbench201(FOUND, epochs=1).parent
    lookup([run], benchmark_file, tmp_path / "true")
    rows = pd.read_parquet(tmp_path / "true.parquet")
    assert rows["expected_cifar10"][0] == pytest.approx(table["cifar10_test_200"].mean())
    last = pd.read_parquet(run / "trajectory.parquet").query("epoch == 1")
    of = {(row.slot, row.node, row.choice): row.probability for row in last.itertuples()}
    draw, edges = np.random.default_rng(1), []
    for edge in EDGES:
        shares = [of[(*edge, operation)] for operation in OPERATIONS]
        edges.append(draw.choice(OPERATIONS, size=20_000, p=shares))
    indices = [index_of(architecture(list(each))) for each in zip(*edges, strict=True)]
    drawn = table["cifar10_test_200"].to_numpy()[indices]
    error = drawn.std() / np.sqrt(len(drawn))
    assert rows["expected_cifar10"][1] == pytest.approx(drawn.mean(), abs=5 * error)


def test_other_searches_are_refused(study, table, benchmark_file, tmp_path):
    with pytest.raises(UserError, match="no search on the space nasbench201"):
        lookup([study.search().parent], benchmark_file, tmp_path / "true")
    run = study.nasbench201(FOUND, epochs=1).parent
    table.drop(columns="in16_test_200").to_parquet(tmp_path / "other.parquet")
    with pytest.raises(BenchmarkError, match="lacks in16_test_200"):
        lookup([run], tmp_path / "other.parquet", tmp_path / "true")
    foreign = study.search(seed=5).parent / "trajectory.parquet"
    (run / "trajectory.parquet").write_bytes(foreign.read_bytes())
    with pytest.raises(UserError, match="not of the space nasbench201"):
        lookup([run], benchmark_file, tmp_path / "true")
    assert not list(tmp_path.glob("true*"))
