"""π as a file: exact, readable by other tools, matched by name, and refused in one line when it is wrong."""

import random
import struct

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from parsec.errors import PriorError
from parsec.prior.distribution import Prior
from parsec.prior.parquet import read_history, read_metadata, read_prior, write_prior, write_trajectory

METADATA = {"space": "darts", "stage": "search", "dataset": "digits", "method": "parsec", "seed": "3", "epoch": "2"}
FACTORS = ["cell", "node", "slot", "factor"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pi.parquet"


@pytest.fixture
def written(path, random_prior):
    """A good file of the default form, at `path`."""
    write_prior(path, random_prior(), METADATA)
    return path


def change(path, alter, **metadata):
    """Write the file again with its rows altered, and its metadata updated."""
    table = pq.read_table(path)
    frame = alter(table.to_pandas())
    changed = pa.Table.from_pandas(frame, preserve_index=False)
    kept = {key.decode(): value.decode() for key, value in table.schema.metadata.items() if key != b"ARROW:schema"}
    pq.write_table(changed.replace_schema_metadata(kept | metadata), path)


def refusal(path, space="darts"):
    """The line with which a file is refused."""
    with pytest.raises(PriorError) as caught:
        read_prior(path, "separate", space)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300, 300.0])
def test_writing_and_reading_back_is_exact(path, random_prior, scale):
    prior = random_prior(scale=scale)
    write_prior(path, prior, METADATA)
    back = read_prior(path, "separate", "darts")
    assert torch.equal(back.logits, prior.logits)
    assert back.logits.requires_grad
    assert back.form == "separate"


def test_every_bit_of_a_logit_survives(path):
    prior = Prior()
    odd = [-0.0, 5e-324, 0.1, 1 / 3, -1.7976931348623157e308, 2.2250738585072014e-308]
    with torch.no_grad():
        prior.logits[0, : len(prior.factors[0].choices)] = torch.tensor(odd[:2] * 7)[: len(prior.factors[0].choices)]
        prior.logits[-1, :6] = torch.tensor(odd, dtype=torch.float64)
    write_prior(path, prior, METADATA)
    back = read_prior(path, "separate", "darts")
    bits = [[struct.pack("d", x) for x in p.logits.detach().flatten().tolist()] for p in (prior, back)]
    assert bits[0] == bits[1]


def test_equal_priors_give_equal_bytes(tmp_path, random_prior):
    for name in "ab":
        write_prior(tmp_path / name, random_prior(), METADATA)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_pandas_reads_one_row_per_choice(path, random_prior):
    prior = random_prior()
    write_prior(path, prior, METADATA)
    frame = pd.read_parquet(path)
    assert list(frame.columns) == ["cell", "node", "slot", "factor", "choice", "logit", "probability"]
    assert len(frame) == int(prior.mask.sum())
    assert frame.logit.dtype == frame.probability.dtype == "float64"
    assert frame.groupby(FACTORS).probability.sum().to_numpy() == pytest.approx(1.0, abs=1e-12)
    assert frame.probability.tolist() == prior.marginals()[prior.mask].tolist()


def test_metadata_records_the_files_origin(written):
    metadata = read_metadata(written)
    assert METADATA.items() <= metadata.items()
    assert {"schema": "1", "factors": "separate"}.items() <= metadata.items()


def test_rows_match_by_name_not_order(written):
    before = read_prior(written, "separate", "darts")
    change(written, lambda frame: frame.sample(frac=1.0, random_state=0)[frame.columns[::-1]])
    assert torch.equal(read_prior(written, "separate", "darts").logits, before.logits)


def test_a_missing_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "nothing.parquet")


def test_a_folder(tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    refusal(tmp_path / "folder.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a parquet file at all\n" * 20])
def test_something_else_than_a_parquet_file(path, content):
    path.write_bytes(content)
    assert "not a Parquet file" in refusal(path)


def test_truncated_at_any_length(written):
    content = written.read_bytes()
    for length in range(0, len(content), 331):
        written.write_bytes(content[:length])
        assert "truncated" in refusal(written)


def test_flipped_bit_is_refused_or_harmless(written):
    content, good = written.read_bytes(), read_prior(written, "separate", "darts")
    rng = random.Random(0)
    refusals = []
    for position in rng.sample(range(len(content)), 150):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.randrange(8)
        written.write_bytes(damaged)
        try:
            assert torch.equal(read_prior(written, "separate", "darts").logits, good.logits)
        except PriorError as error:
            refusals.append(str(error))
    assert len(refusals) > 75
    assert not any("\n" in line for line in refusals)


@pytest.mark.parametrize("column", ["logit", "probability"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_value_that_is_not_finite(written, column, value):
    def spoil(frame):
        frame.loc[17, column] = value
        return frame

    change(written, spoil)
    assert f"a {column} of π is not a finite number" in refusal(written)


def test_probabilities_summing_above_one_are_refused(written):
    def spoil(frame):
        frame.loc[0, "probability"] += 0.1
        return frame

    change(written, spoil)
    assert "normal node 0 slot 0 input sum to 1.1, not to 1" in refusal(written)


def test_probabilities_contradicting_logits_are_refused(written):
    def spoil(frame):
        frame.loc[[0, 1], "probability"] = frame.loc[[1, 0], "probability"].to_numpy()
        return frame

    change(written, spoil)
    assert "do not belong to its logits" in refusal(written)


def test_another_space(written):
    assert "space 'darts', but 'nasbench201' is needed" in refusal(written, space="nasbench201")


def test_another_form(path):
    write_prior(path, Prior("edges"), METADATA)
    assert "factors 'edges', but 'separate' is needed" in refusal(path)


def test_inputs_that_exclude_one_another(written):
    change(written, lambda frame: frame, inputs="independent")
    assert read_prior(written, "separate", "darts")
    change(written, lambda frame: frame, inputs="distinct")
    assert "without replacement" in refusal(written)


def test_another_schema(written):
    change(written, lambda frame: frame, schema="2")
    assert "schema '2', but '1' is needed" in refusal(written)


@pytest.mark.parametrize("kept", [lambda frame: frame.drop(index=20), lambda frame: frame[:0]], ids=["most", "none"])
def test_missing_rows(written, kept):
    change(written, kept)
    assert "first difference" in refusal(written)


def test_a_repeated_row(written):
    change(written, lambda frame: pd.concat([frame, frame[:1]]))
    assert "a repeated row" in refusal(written)


def test_an_unknown_choice(written):
    change(written, lambda frame: frame.replace({"choice": {"skip_connect": "none"}}))
    assert "skip_connect" in refusal(written)


def test_a_column_of_text(written):
    change(written, lambda frame: frame.astype({"logit": str}))
    assert "a logit of π is not a finite number" in refusal(written)


@pytest.mark.parametrize("column", ["cell", "node", "slot", "factor", "choice", "logit", "probability"])
def test_a_missing_column_is_named(written, column):
    change(written, lambda frame: frame.drop(columns=column))
    assert f"lacks the columns {column}" in refusal(written)


def test_file_without_metadata_is_refused(written):
    pq.write_table(pq.read_table(written).replace_schema_metadata(None), written)
    assert "a Parquet file, but no π: its metadata" in refusal(written)
    pq.write_table(pa.table({"architecture": ["a"], "score": [1.0]}), written)
    assert "a Parquet file, but no π: its metadata" in refusal(written)


def test_a_column_of_lists(written):
    table = pq.read_table(written)
    pq.write_table(table.set_column(0, "cell", [[["normal"]] * len(table)]), written)
    assert "a column of lists" in refusal(written)


@pytest.mark.parametrize("key", ["seed", "epoch"])
def test_metadata_that_is_no_number(written, key):
    change(written, lambda frame: frame, **{key: "soon"})
    assert f"its {key} is 'soon', no number" in refusal(written)


@pytest.mark.parametrize("width", ["float32", "float64"])
def test_float32_files_load_and_renormalise(path, random_prior, width):
    """Rounded to float32, probabilities of a factor no longer sum to 1 in float64; their column may be of either."""
    prior = random_prior(scale=5.0)
    write_prior(path, prior, METADATA)
    rounded = ["logit", "probability"]
    change(path, lambda frame: frame.astype(dict.fromkeys(rounded, "float32")).astype(dict.fromkeys(rounded, width)))
    back = read_prior(path, "separate", "darts")
    assert torch.equal(back.logits, prior.logits.float().double())
    assert back.marginals().sum(1).tolist() == pytest.approx([1.0] * len(back.factors), abs=1e-12)


def test_a_trajectory_without_its_epochs(tmp_path, random_prior):
    path = tmp_path / "trajectory.parquet"
    write_trajectory(path, "separate", [(0, 0, random_prior().logits.detach())], METADATA)
    change(path, lambda frame: frame.assign(epoch=None))
    with pytest.raises(PriorError, match=r"an epoch of the trajectory is None"):
        read_history(path, "separate", "darts")


def test_failed_write_keeps_earlier_file(written, monkeypatch):
    before = written.read_bytes()

    def fail(table, where, **options):
        where.write_bytes(b"incomplete")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(Exception, match="no space left"):
        write_prior(written, Prior(), METADATA)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_trajectory_holds_every_epochs_rows(tmp_path, random_prior):
    priors = {epoch: random_prior(seed=epoch) for epoch in range(3)}
    path = tmp_path / "trajectory.parquet"
    write_trajectory(path, "separate", [(e, 4 * e, p.logits.detach()) for e, p in priors.items()], METADATA)
    frame = pd.read_parquet(path)
    assert list(frame.columns[:2]) == ["epoch", "step"]
    assert dict(zip(frame.epoch, frame.step, strict=True)) == {0: 0, 1: 4, 2: 8}
    for epoch, prior in priors.items():
        rows = frame[frame.epoch == epoch]
        assert rows.logit.tolist() == prior.logits[prior.mask].tolist()
        assert rows.probability.tolist() == prior.marginals()[prior.mask].tolist()
    assert METADATA.items() <= read_metadata(path).items()
