"""The table of NAS-Bench-201: what a search may see, what it may not, and which files are refused."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from parsec.errors import BenchmarkError
from parsec.space.nasbench201 import SIZE, architectures
from parsec.tabular.nasbench201 import DATA, read_report_columns, read_search_columns


@pytest.fixture(scope="module")
def rows():
    """A made-up table in the benchmark's columns; its accuracies are random."""
    random = np.random.default_rng(0)
    names = [f"{data}_{kind}" for data in DATA for kind in ("val_12", "test_200")] + ["naslib_cifar10_val_200"]
    columns = {name: random.uniform(10, 95, SIZE) for name in names}
    return pd.DataFrame({"arch_index": range(SIZE), "arch_str": [str(arch) for arch in architectures()], **columns})


@pytest.fixture
def write(tmp_path):
    def to_file(frame):
        frame.to_parquet(tmp_path / "table.parquet", index=False)
        return tmp_path / "table.parquet"

    return to_file


def test_columns_follow_index_not_row_order(rows, write):
    path = write(rows.sample(frac=1, random_state=0))
    search, report = read_search_columns(path), read_report_columns(path)
    assert search.architectures == architectures()
    for data in DATA:
        assert np.array_equal(search.validation[data], rows[f"{data}_val_12"])
        assert np.array_equal(report.test[data], rows[f"{data}_test_200"])
    assert np.array_equal(report.half, rows.naslib_cifar10_val_200)


def test_search_columns_exclude_test_accuracies(rows, write):
    path = write(rows[["arch_index", "arch_str", *(f"{data}_val_12" for data in DATA)]])
    search = read_search_columns(path)
    assert [field.name for field in fields(search)] == ["architectures", "validation"]
    with pytest.raises(BenchmarkError, match="lacks cifar10_test_200"):
        read_report_columns(path)


def test_accuracies_cannot_be_changed(rows, write):
    accuracies = read_search_columns(write(rows)).validation["cifar10"]
    with pytest.raises(ValueError, match="read-only"):
        accuracies[0] = 100.0


def changed(rows, column, row, value):
    frame = rows.copy()
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.iloc[:100], "arch_index does not count 15625"),
        (lambda rows: rows.assign(arch_str=rows.arch_str[::-1].to_numpy()), "index 0 is"),
        (lambda rows: changed(rows, "arch_str", 7, "|none~0|"), "index 7 is"),
        (lambda rows: changed(rows, "cifar10_val_12", 3, np.nan), "percentages"),
        (lambda rows: changed(rows, "in16_val_12", 3, 101.0), "in16_val_12 does not hold percentages"),
        (lambda rows: rows.assign(cifar100_val_12="high"), "percentages"),
        (lambda rows: rows.drop(columns="arch_str"), "lacks arch_str"),
        (lambda rows: rows.assign(arch_index="x"), "arch_index does not count"),
    ],
)
def test_invalid_table_fails_in_one_line(rows, write, change, message):
    with pytest.raises(BenchmarkError, match=message) as refused:
        read_search_columns(write(change(rows)))
    assert "\n" not in str(refused.value)
    assert "NATS-Bench" in str(refused.value)


def test_missing_or_broken_file_is_explained(tmp_path):
    with pytest.raises(BenchmarkError, match=r"no such file; .*NATS-tss-v1_0-3ffb9-simple"):
        read_search_columns(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet at all")
    with pytest.raises(BenchmarkError, match="not a Parquet file"):
        read_search_columns(tmp_path / "text.parquet")


def test_real_table_has_known_best_architectures(shared_data):
    path = shared_data("nasbench201.parquet")
    best = {
        data: (int(values.argmax()), round(values.max(), 2)) for data, values in read_report_columns(path).test.items()
    }
    assert best == {"cifar10": (6111, 94.37), "cifar100": (9930, 73.51), "in16": (857, 47.31)}
    assert read_search_columns(path).validation["cifar10"].max() < 90
