"""Output cache: restored only for the same run, whole or not at all, without taking space."""

import os
import shutil

import pytest

from parsec.errors import CheckpointError
from parsec.runtime.output_cache import RunPaths, locked_outputs
from parsec.runtime.outputs import MARKER, clear_output_cache

NAMES = ("pi", "result")


@pytest.fixture
def paths(tmp_path):
    return RunPaths(
        tmp_path / "results" / "state" / "run", tmp_path / "results" / "run", NAMES, "search digits", cache=True
    )


def run(paths, identity="same", code="code"):
    """Whether the outputs were restored; otherwise they are written."""
    with locked_outputs(paths, code) as cache:
        if cache.restore_outputs(identity, {"setting": identity}):
            return True
        cache.open_output()
        for name in NAMES:
            (paths.output / name).write_text(f"{name} of {identity}")
        (paths.state / "step-000000000001.pt").write_text("")
        (paths.state / "metrics.jsonl").write_text("")
        cache.finish()
    return False


def contents(paths):
    return {path.name: path.read_text() for path in paths.output.iterdir() if path.name != MARKER}


def test_deleted_outputs_are_restored(paths, caplog):
    assert not run(paths)
    before = contents(paths)
    shutil.rmtree(paths.output)
    with caplog.at_level("INFO", logger="parsec"):
        assert run(paths)
    assert contents(paths) == before
    assert len(caplog.records) == 1
    assert "put back" in caplog.text


def test_cache_holds_links_only(paths):
    run(paths)
    kept = paths.state / "finished"
    assert all((kept / name).samefile(paths.output / name) for name in NAMES)
    assert {path.name for path in paths.state.iterdir()} == {"finished", "run.lock", MARKER}
    assert {path.name for path in kept.iterdir()} == {*NAMES, "manifest.json"}


def test_present_outputs_stay(paths):
    run(paths)
    before = contents(paths)
    assert run(paths)
    assert contents(paths) == before


def test_copies_where_links_are_impossible(paths, monkeypatch):
    def refuse(*paths):
        raise OSError("links are not for this file system")

    monkeypatch.setattr(os, "link", refuse)
    run(paths)
    before = contents(paths)
    shutil.rmtree(paths.output)
    assert run(paths)
    assert contents(paths) == before


@pytest.mark.parametrize("changes", [{"identity": "other"}, {"code": "other"}])
def test_other_run_or_code_drops_cache(paths, caplog, changes):
    run(paths)
    shutil.rmtree(paths.output)
    with caplog.at_level("WARNING", logger="parsec"):
        assert not run(paths, **changes)
    assert "other settings, data or code; starting again" in caplog.text
    assert run(paths, **changes)


@pytest.mark.parametrize("harm", ["change", "remove", "no manifest", "half a manifest"])
def test_damaged_cache_is_dropped(paths, caplog, harm):
    run(paths)
    shutil.rmtree(paths.output)
    kept = paths.state / "finished"
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
        assert not run(paths)
    assert "starting again" in caplog.text
    assert run(paths)


def test_without_cache_nothing_stays(paths):
    run(paths._replace(cache=False))
    assert not paths.state.exists()
    run(paths)
    assert run(paths._replace(cache=False))
    assert not paths.state.exists()


def test_run_in_progress_is_refused(paths):
    with locked_outputs(paths, "code"), pytest.raises(CheckpointError, match="another process"):
        run(paths)
    assert not run(paths)


def test_clearing_spares_unfinished_runs(paths, tmp_path):
    results = tmp_path / "results"
    run(paths)
    begun = paths.state.with_name("begun")
    begun.mkdir()
    (begun / "step-000000000001.pt").write_text("")
    # A job that outlived Snakemake: what is missing here can still be put back from the cache.
    kept = contents(paths)
    for name in kept:
        (paths.output / name).unlink()
    clear_output_cache(results)
    assert paths.state.exists()
    run(paths)
    assert contents(paths) == kept
    clear_output_cache(results)
    assert not paths.state.exists()
    assert begun.exists()
    shutil.rmtree(begun)
    run(paths)
    clear_output_cache(results, stored=True)
    assert not (results / "state").exists()
    assert contents(paths)
    # Stored outputs may leave nothing else here; the folder of the results is the user's.
    run(paths)
    shutil.rmtree(paths.output)
    clear_output_cache(results, stored=True)
    assert not list(results.iterdir())
