"""What a finished run keeps: put back for the same run alone, whole or not at all, in no space."""

import os
import shutil

import pytest

from parsec.errors import CheckpointError
from parsec.runtime.finished import Places, claimed
from parsec.runtime.outputs import MARKER, forget

NAMES = ("pi", "result")


@pytest.fixture
def places(tmp_path):
    return Places(
        tmp_path / "results" / "state" / "run", tmp_path / "results" / "run", NAMES, "search digits", keep=True
    )


def run(places, identity="same", code="code"):
    """Whether the outputs were put back; else they are made."""
    with claimed(places, code) as ending:
        if ending.begin(identity, {"setting": identity}):
            return True
        ending.open_output()
        for name in NAMES:
            (places.output / name).write_text(f"{name} of {identity}")
        (places.state / "step-000000000001.ckpt").write_text("")
        (places.state / "metrics.jsonl").write_text("")
        ending.finish(identity)
    return False


def contents(places):
    return {path.name: path.read_text() for path in places.output.iterdir() if path.name != MARKER}


def test_outputs_that_were_deleted_are_put_back(places, caplog):
    assert not run(places)
    before = contents(places)
    shutil.rmtree(places.output)
    with caplog.at_level("INFO", logger="parsec"):
        assert run(places)
    assert contents(places) == before
    assert len(caplog.records) == 1
    assert "put back" in caplog.text


def test_kept_outputs_are_links_and_checkpoints_are_gone(places):
    run(places)
    kept = places.state / "finished"
    assert all((kept / name).samefile(places.output / name) for name in NAMES)
    assert {path.name for path in places.state.iterdir()} == {"finished", "run.lock", MARKER}
    assert {path.name for path in kept.iterdir()} == {*NAMES, "manifest.json"}


def test_outputs_that_are_still_there_stay(places):
    run(places)
    before = contents(places)
    assert run(places)
    assert contents(places) == before


def test_copies_are_kept_where_links_are_impossible(places, monkeypatch):
    def refuse(*paths):
        raise OSError("links are not for this file system")

    monkeypatch.setattr(os, "link", refuse)
    run(places)
    before = contents(places)
    shutil.rmtree(places.output)
    assert run(places)
    assert contents(places) == before


@pytest.mark.parametrize("changes", [{"identity": "other"}, {"code": "other"}])
def test_another_run_or_code_drops_what_was_kept(places, caplog, changes):
    run(places)
    shutil.rmtree(places.output)
    with caplog.at_level("WARNING", logger="parsec"):
        assert not run(places, **changes)
    assert "other settings, data or code; starting anew" in caplog.text
    assert run(places, **changes)


@pytest.mark.parametrize("harm", ["change", "remove", "no manifest", "half a manifest"])
def test_damage_drops_what_was_kept(places, caplog, harm):
    run(places)
    shutil.rmtree(places.output)
    kept = places.state / "finished"
    match harm:
        case "change":
            (kept / "pi").write_text("changed")
        case "remove":
            (kept / "pi").unlink()
        case "no manifest":
            (kept / "manifest.json").unlink()
        case "half a manifest":
            (kept / "manifest.json").write_text('{"identity": "same"')
    with caplog.at_level("WARNING", logger="parsec"):
        assert not run(places)
    assert "starting anew" in caplog.text
    assert run(places)


def test_without_keeping_nothing_stays(places):
    run(places._replace(keep=False))
    assert not places.state.exists()
    run(places)
    assert run(places._replace(keep=False))
    assert not places.state.exists()


def test_a_run_in_progress_is_refused(places):
    with claimed(places, "code"), pytest.raises(CheckpointError, match="another process"), claimed(places, "code"):
        pass
    run(places)


def test_forgetting_takes_finished_runs_alone(places, tmp_path):
    run(places)
    begun = places.state.with_name("begun")
    begun.mkdir()
    (begun / "step-000000000001.ckpt").write_text("")
    forget([places.state, begun])
    assert not places.state.exists()
    assert begun.exists()
    shutil.rmtree(begun)
    run(places)
    forget([places.state, tmp_path / "missing"])
    assert not (tmp_path / "results" / "state").exists()
    assert contents(places)
