"""The stage `kernels`: networks of every bin, and the kernels that the score is read off."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from job_file import job_file

from parsec.cli import main
from parsec.data.dataset import read_info
from parsec.records.parquet import KERNELS_FILE
from parsec.space.nasbench201 import SIZE, architectures
from parsec.zero_cost.naswot import log_determinant
from parsec.zero_cost.score import Scoring, minibatch


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """A table whose accuracies rise with the index; invented."""
    path, rising = tmp_path_factory.mktemp("benchmark") / "table.parquet", np.linspace(0.0, 99.9, SIZE)
    names = ["cifar10_test_200", "cifar100_test_200", "in16_test_200", "naslib_cifar10_val_200"]
    texts = {"arch_index": range(SIZE), "arch_str": [str(arch) for arch in architectures()]}
    pd.DataFrame(texts | dict.fromkeys(names, rising)).to_parquet(path, index=False)
    return path


@pytest.fixture
def keep(digits, benchmark, tmp_path):
    """A function changes of the settings → exit code; writes `kernels.parquet`."""

    def run(**changes):
        settings = {"space": "nasbench201", "dataset": "digits", "batch_size": 8, "compute": {"device": "cpu"}}
        text = json.dumps(settings | {"networks": 2, "edges": [0, 50, 100]} | changes)
        given = ["--settings", job_file(tmp_path, text), "--data", digits, "--benchmark", benchmark, "--seed", "0"]
        return main([str(word) for word in ("kernels", *given, "--output", tmp_path / "kernels.parquet")])

    return run


def test_every_bin_has_its_networks(keep, tmp_path):
    assert keep() == 0
    rows, about = KERNELS_FILE.read(tmp_path / "kernels.parquet")
    assert rows.low.tolist() == [0, 0, 50, 50]
    assert rows.accuracy.between(rows.low, rows.high).all()
    assert np.allclose(rows.accuracy, np.linspace(0.0, 99.9, SIZE)[rows["index"]])
    for kernel in rows.kernel:
        matrix = kernel.reshape(8, 8)
        assert np.allclose(np.diag(matrix), 1)
        assert np.allclose(matrix, matrix.T)
    assert about["provenance"]["settings"]["networks"] == 2


def test_stored_kernel_reproduces_network_score(keep, digits, make_job, tmp_path):
    assert keep() == 0
    rows, _ = KERNELS_FILE.read(tmp_path / "kernels.parquet")
    job, info = make_job(1), read_info(digits)
    images = minibatch(job, digits, info, 0, torch.device("cpu"))
    checked = 0
    for row in rows.rename(columns={"index": "number"}).itertuples():
        kernel = row.kernel.reshape(8, 8).astype(float)
        (scored,) = Scoring(job, 0, [row.number], images).advance()
        if scored["status"] == "scored":
            # The determinant of a kernel that was divided by its N_A units is less by N log N_A.
            units = Scoring(job, 0, [], images).matrix(architectures()[row.number], row.number)[0, 0]
            assert log_determinant(kernel) + 8 * np.log(units) == pytest.approx(scored["score"], rel=1e-4)
            checked += 1
    assert checked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": [50, 0]}, "numbers that rise"),
        ({"edges": [0, 0.001]}, "allowed: 2 or more"),
        ({"dataset": "other"}, "the settings want other"),
    ],
)
def test_invalid_settings_fail_in_one_line(keep, capsys, tmp_path, changes, message):
    assert keep(**changes) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "kernels.parquet").exists()


def test_the_figure_shows_every_kernel(keep, tmp_path):
    assert keep() == 0
    assert main(["figure", "naswot-kernels", "--output", str(tmp_path / "f"), str(tmp_path / "kernels.parquet")]) == 0
    assert len(pd.read_csv(tmp_path / "f.csv")) == 4
    assert (tmp_path / "f.png").stat().st_size
