"""Tables and figures on NASWOT: rank correlations with trained accuracy, and ablations."""

import numpy as np
import pandas as pd
import pytest
from naswot_files import ABLATED, NETWORKS, write_some_ablation

from parsec.cli import main
from parsec.errors import UserError
from parsec.records.parquet import SCORES_FILE
from parsec.report.registry import table_writer
from parsec.report.tables.naswot import UNTRAINED, correlation, make_correlation101_table
from parsec.tabular.nasbench101 import read_search_columns


def scored(scores, indices=None):
    indices = range(len(scores)) if indices is None else indices
    status = ["failed" if score is None else "scored" for score in scores]
    return pd.DataFrame({"index": indices, "score": np.array(scores, dtype=float), "status": status})


def test_tau_counts_concordant_pairs():
    # Five of the six pairs agree, one does not.
    result = correlation(scored([1.0, 2.0, 4.0, 3.0]), np.array([50.0, 60.0, 70.0, 80.0]))
    assert result.tau == pytest.approx(4 / 6)
    assert (result.n, result.failed) == (4, 0)
    assert result.low <= result.tau <= result.high


def test_accuracies_are_looked_up_by_index():
    accuracies = np.array([0.0, 90.0, 0.0, 80.0, 70.0])
    assert correlation(scored([3.0, 2.0, 1.0], [1, 3, 4]), accuracies).tau == pytest.approx(1)


def test_failures_are_counted_and_not_ranked():
    accuracies = np.array([50.0, 60.0, 99.0, 70.0])
    result = correlation(scored([1.0, 2.0, None, 3.0]), accuracies)
    assert (result.n, result.failed, result.tau) == (3, 1, pytest.approx(1))


def test_untrained_architectures_can_be_excluded():
    accuracies = np.array([10.0, 60.0, 70.0, 12.0])
    result = correlation(scored([9.0, 1.0, 2.0, None]), accuracies, above=UNTRAINED)
    assert (result.n, result.failed, result.tau) == (2, 0, pytest.approx(1))


def test_one_architecture_has_no_order():
    with pytest.raises(ValueError, match="too few"):
        correlation(scored([1.0, None]), np.array([50.0, 60.0]))


def test_the_interval_covers_what_is_known():
    random = np.random.default_rng(0)
    truth, noise = random.uniform(20, 90, 300), random.normal(0, 20, 300)
    result = correlation(scored(list(truth + noise)), truth)
    assert result.low < result.tau < result.high
    assert result.high - result.low < 0.15
    assert correlation(scored(list(truth + noise)), truth) == result


NAME = "naswot-correlation"


def test_table_has_all_formats(benchmark, scores, tmp_path):
    output = tmp_path / "made" / "table"
    assert main(["table", NAME, "--output", str(output), str(benchmark), str(scores())]) == 0
    rows = pd.read_csv(output.with_suffix(".csv"))
    # Scores of the fixture are the CIFAR-10 test accuracies themselves, and one architecture failed.
    whole = rows[(rows.accuracy == "CIFAR-10 test") & (rows.trained_on == "all")]
    assert whole.tau.item() == pytest.approx(1)
    assert whole.failed.item() == 1
    assert "0.574" in output.with_suffix(".md").read_text(encoding="utf-8")
    assert r"\begin{longtable}{@{}lllrrrll@{}}" in output.with_suffix(".tex").read_text(encoding="utf-8")
    assert "mellor2021naswot" in output.with_suffix(".bib").read_text(encoding="utf-8")
    assert "0.574</td>" in output.with_suffix(".html").read_text(encoding="utf-8")


def test_equal_inputs_give_equal_bytes(benchmark, scores, tmp_path):
    for name in ("a", "b"):
        table_writer(NAME)([benchmark, scores()], tmp_path / name)
    for kind in ("csv", "md", "tex", "html", "bib"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_unknown_table_is_refused(capsys, tmp_path):
    assert main(["table", "what", "--output", str(tmp_path / "t"), "file"]) == 2
    assert f"there are accuracy, {NAME}" in capsys.readouterr().err


def test_the_benchmark_comes_first(benchmark, scores, capsys, tmp_path):
    assert main(["table", NAME, "--output", str(tmp_path / "t"), str(scores()), str(benchmark)]) == 2
    assert "not a table of NAS-Bench-201" in capsys.readouterr().err
    assert main(["table", NAME, "--output", str(tmp_path / "t"), str(benchmark)]) == 2
    assert "give the benchmark's table first" in capsys.readouterr().err
    assert not list(tmp_path.glob("t.*"))


def test_the_interval_holds_the_correlation(benchmark, scores, tmp_path):
    table_writer(NAME)([benchmark, scores(noise=5.0)], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv")
    assert np.all((rows.low <= rows.tau) & (rows.tau <= rows.high))


@pytest.fixture(scope="module")
def nasbench101(shared_data):
    return shared_data("nasbench101-subset.parquet")


@pytest.fixture
def scores101(nasbench101, tmp_path):
    """Scores are validation accuracies turned round; one of the twenty failed."""
    reached = read_search_columns(nasbench101).validation

    def made(space="nasbench101", indices=range(20)):
        rows = [
            {"architecture": "", "index": i, "score": -reached[i % len(reached)], "status": "scored", "seconds": 1.0}
            for i in indices
        ]
        rows[3] |= {"score": None, "status": "failed", "reason": "singular"}
        score = {"kind": "relu_log_determinant", "mode": "train"}
        origin = {"seed": 0, "provenance": {"settings": {"space": space, "dataset": "cifar10", "score": score}}}
        SCORES_FILE.write(tmp_path / "scores.parquet", rows, origin)
        return tmp_path / "scores.parquet"

    return made


def test_scores101_are_matched_by_index(nasbench101, scores101):
    made, data, _ = make_correlation101_table([nasbench101, scores101()])
    assert data.tau.item() == pytest.approx(-1)
    assert (data.n.item(), data.failed.item()) == (19, 1)
    assert data.architectures.item() == len(read_search_columns(nasbench101).validation)
    assert made.sections[1].rows[0][4] == "0.285"


@pytest.mark.parametrize(
    ("given", "words"),
    [({"space": "nasbench201"}, "give scores of nasbench101"), ({"indices": range(990, 999)}, "table")],
)
def test_other_scores101_are_refused(nasbench101, scores101, given, words):
    with pytest.raises(UserError, match=words):
        make_correlation101_table([nasbench101, scores101(**given)])
    with pytest.raises(UserError, match="table first"):
        make_correlation101_table([nasbench101])


@pytest.fixture
def ablation(tmp_path):
    """Scores that rise with the index, fall with it, or fail once."""
    return write_some_ablation(tmp_path / "a.parquet")


@pytest.fixture
def rising(truth, tmp_path):
    """A table in which the accuracy of the first four architectures rises with the index."""
    frame = truth.copy()
    frame.loc[: NETWORKS - 1, "cifar10_test_200"] = [50.0, 60.0, 70.0, 80.0]
    frame.to_parquet(tmp_path / "rising.parquet", index=False)
    return tmp_path / "rising.parquet"


def test_spread_and_order_of_every_condition(rising, ablation, tmp_path):
    table_writer("naswot-ablation")([rising, ablation], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv").set_index("condition")
    assert rows.within.to_dict() == {"images": 1.0, "weights-identity": 0.0, "batch-32": 0.0}
    assert rows.between["images"] == pytest.approx(np.std([0, 10, 20, 30], ddof=1))
    assert rows.tau_between_repeats.to_list() == pytest.approx([1, 1, 1])
    assert rows.tau_with_accuracy.to_list() == pytest.approx([1, -1, 1])
    assert rows.networks.to_list() == [4, 4, 3]  # one failed once and is left out


def test_figure_starts_at_lowest_mean(rising, ablation, tmp_path):
    output = tmp_path / "f"
    assert main(["figure", "naswot-ablation", "--output", str(output), str(rising), str(ablation)]) == 0
    rows = pd.read_csv(output.with_suffix(".csv"))
    assert rows.groupby("condition")["mean"].min().to_dict() == dict.fromkeys(ABLATED, 0.0)
    images = rows[rows.condition == "images"]
    assert (images.high - images.low).to_list() == [2.0] * NETWORKS
    assert output.with_suffix(".png").stat().st_size
