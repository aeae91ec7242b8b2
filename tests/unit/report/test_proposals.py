"""Table and figure of proposals, from made-up repeats whose answers are known."""

import itertools

import numpy as np
import pytest

from parsec.cli import main
from parsec.config.tabular import ProposalJob
from parsec.errors import UserError
from parsec.records.parquet import PROPOSALS_FILE
from parsec.report.figures import predictor as figure
from parsec.report.tables import proposals

JOB = ProposalJob(betas=(0.0, 1.0), trained=(5, 9), defences=(0.0, 0.2), images=(1, 8), samples=(4, 16), repeats=20)


@pytest.fixture
def study(tmp_path):
    """With β = 1 the share is higher by 0.3 and the error half; of 8 images and without defence it is thrice."""
    rng, rows = np.random.default_rng(0), []
    cases = itertools.product(range(20), JOB.images, JOB.trained, JOB.betas, JOB.defences, JOB.samples)
    for repeat, images, trained, beta, defence, samples in cases:
        factor = 1.0 if beta == 0 else 3.0 if images == 8 and defence == 0 else 0.5
        share, error = 0.4 + 0.3 * beta + 0.05 * rng.random(), factor * (1 + 0.1 * rng.random())
        given = {"prior": "search parsec, seed 0, epoch 9", "entropy": 8.0, "images": images, "trained": trained}
        given |= {"beta": beta, "defence": defence, "samples": samples, "repeat": repeat}
        rows.append(given | {"share": share, "limit": 0.5, "error": error})
    path = tmp_path / "proposal.parquet"
    origin = {"provenance": {"settings": JOB.model_dump(mode="json")}}
    PROPOSALS_FILE.write(path, rows, origin)
    return path


def test_intervals_contain_repeat_means(study):
    table, numbers, _ = proposals.make_proposal_table([study])
    assert len(numbers) == 32
    tilted = numbers[numbers.beta == 1.0]
    assert tilted.gained.tolist() == pytest.approx([0.3] * 16, abs=0.03)
    wrong = (tilted.images == 8) & (tilted.defence == 0)
    assert tilted[wrong].error.to_numpy() == pytest.approx(3.0, rel=0.05)
    assert tilted[~wrong].error.to_numpy() == pytest.approx(0.5, rel=0.05)
    for name in ("share", "gained", "error"):
        assert (numbers[f"{name}_low"] <= numbers[name] + 1e-12).all()
        assert (numbers[name] <= numbers[f"{name}_high"] + 1e-12).all()
    plain = numbers[numbers.beta == 0.0]
    assert (plain.error == 1).all()
    assert (plain.gained == 0).all()
    assert [len(section.rows) for section in table.sections] == [6, 6]
    assert any("Likelihood of 8, 0 % from π" in note and "nearer in 0 and farther in 1" in note for note in table.notes)
    assert any(
        "Likelihood of 8, 20 % from π" in note and "nearer in 1 and farther in 0" in note for note in table.notes
    )


def test_the_verbs_write_table_and_figure(study, tmp_path):
    assert main(["table", "proposal", "--output", str(tmp_path / "t"), str(study)]) == 0
    assert not set((tmp_path / "t.tex").read_text()) & set("πβα∝·−")
    for name in ("f", "again"):
        assert main(["figure", "proposal", "--output", str(tmp_path / name), str(study)]) == 0
    for kind in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / f"f.{kind}").read_bytes() == (tmp_path / f"again.{kind}").read_bytes()
    shown = figure.plot_proposal([study]).data
    assert set(shown.samples) == {16}
    assert set(shown.trained) == {5, 9}


def test_other_files_are_refused(study, tmp_path):
    (tmp_path / "other.parquet").write_bytes(b"nothing")
    for draw in (proposals.make_proposal_table, figure.plot_proposal):
        with pytest.raises(UserError, match="give one proposal"):
            draw([study, study])
        with pytest.raises(UserError, match="no intact Parquet"):
            draw([tmp_path / "other.parquet"])
