"""Nothing of the user's is written over or removed: folders need our marker, files must be of the same kind."""

import json

import matplotlib.figure
import pandas as pd
import pytest

from parsec.errors import CheckpointError, UserError
from parsec.report.figures.style import Drawing, as_files
from parsec.runtime.checkpoint import Checkpoints
from parsec.runtime.output_cache import RunPaths, locked_outputs
from parsec.runtime.outputs import (
    MARKER,
    check_apart,
    check_file,
    check_folder,
    check_run_folder,
    mark_folder,
    parquet_signature,
    remove_state,
    remove_written,
    signature_of,
    write_outputs,
)


@pytest.fixture
def own(tmp_path):
    """A folder of the user's with one file."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    return folder


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_new_and_marked_folders_are_free(tmp_path):
    check_folder(tmp_path / "new" / "deep", "state")
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty", "state")
    mark_folder(tmp_path / "marked", "state", run="search digits")
    assert check_folder(tmp_path / "marked", "state")["run"] == "search digits"


def test_foreign_folder_is_refused(own):
    with pytest.raises(UserError, match="not a folder that parsec made"):
        check_folder(own, "state")
    with pytest.raises(UserError, match="is a file"):
        check_folder(own / "thesis.tex", "state")
    mark_folder(own, "export")
    with pytest.raises(UserError, match="folder for export"):
        check_folder(own, "state")


def test_empty_marker_admits_a_folder(own):
    (own / MARKER).touch()
    check_folder(own, "results")


def test_partial_marker_blocks_nothing(tmp_path):
    (tmp_path / f".partial-0a1b2c3d-{MARKER}").write_text("{")
    check_folder(tmp_path, "state")


def test_outputs_of_another_run_are_kept(tmp_path):
    mark_folder(tmp_path, "search", run="search digits/parsec/seed0")
    check_run_folder(tmp_path, "search", "search digits/parsec/seed1", ["result.json"])
    (tmp_path / "result.json").write_text("{}")
    check_run_folder(tmp_path, "search", "search digits/parsec/seed0", ["result.json"])
    with pytest.raises(UserError, match=r"holds result\.json of search digits/parsec/seed0"):
        check_run_folder(tmp_path, "search", "search digits/parsec/seed1", ["result.json"])


def test_removal_spares_foreign_files(own):
    mark_folder(own, "state")
    (own / "step-000000000001.pt").write_text("")
    remove_state(own)
    assert set(everything(own)) == {"thesis.tex", MARKER}
    (own / "thesis.tex").unlink()
    remove_state(own)
    assert not own.exists()


def test_manifest_reaches_no_other_folder(tmp_path, own):
    kept = tmp_path / "state" / "finished"
    kept.mkdir(parents=True)
    (kept / "manifest.json").write_text(json.dumps({"files": {"../../own/thesis.tex": "", "*": "", "pi": ""}}))
    (kept / "pi").touch()
    (kept / "mine").touch()
    remove_state(tmp_path / "state")
    assert everything(own) == {"thesis.tex": b"years of work"}
    assert set(everything(tmp_path / "state")) == {"finished/mine"}


def test_removal_does_not_follow_links(tmp_path, own):
    mark_folder(tmp_path / "state", "state")
    (tmp_path / "state" / "step-000000000001.pt").symlink_to(own / "thesis.tex")
    remove_written(tmp_path / "state", ["step-*"])
    assert everything(own) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize(("output", "data"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("link", "a"), ("./a/../a", "a")])
def test_overlapping_folders_are_refused(tmp_path, monkeypatch, output, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    here = {"--output": tmp_path / output}
    with pytest.raises(UserError, match=r"--output .* and --data .* overlap"):
        check_apart(here, {"--data": tmp_path / data})
    check_apart(here, {"--data": tmp_path / "other", "--pi": None})


def figures(own, name="plot"):
    as_files(lambda paths: Drawing(matplotlib.figure.Figure(), pd.DataFrame({"loss": [1.0]})))([], own / name)


def test_our_own_files_are_replaced(own):
    for text in ("| a |\n| - |\n| 1 |\n", "| a |\n| - |\n| 2 |\n"):
        write_outputs({own / "table.md": text})
    for rows in ([1], [2]):
        write_outputs({own / "bench.json": json.dumps({"kind": "bench", "rows": rows})})
    figures(own)
    figures(own)
    assert json.loads((own / "bench.json").read_text())["rows"] == [2]


@pytest.mark.parametrize(
    ("name", "content", "new"),
    [
        ("notes.txt", "shopping", '{"kind": "bench"}'),
        ("package.json", '{"name": "mine"}', '{"kind": "bench"}'),
        ("lookup.json", '{"kind": "lookup"}', '{"kind": "bench"}'),
        ("paper.csv", "year,title\n2019,PARSEC\n", "image,class\n"),
        ("README.md", "# Mine\n", "**Test errors**\n"),
        ("photo.png", b"\x89PNG of a cat", "image,class\n"),
        ("empty-looking.json", "", '{"kind": "bench"}'),
    ],
)
def test_files_of_other_kinds_stay(own, name, content, new):
    (own / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = everything(own)
    with pytest.raises(UserError, match=f"{name}: exists and is another kind of file"):
        write_outputs({own / name: new})
    assert everything(own) == before


def test_one_foreign_file_stops_all(own):
    (own / "plot.png").write_bytes(b"\x89PNG of a cat")
    before = everything(own)
    with pytest.raises(UserError, match=r"plot\.png"):
        figures(own)
    with pytest.raises(UserError, match=r"thesis\.tex"):
        write_outputs({own / "thesis.csv": "a\n", own / "thesis.tex": "% a table\n"})
    assert everything(own) == before


def test_parquet_is_recognised_by_columns(tmp_path):
    pd.DataFrame({"a": [1], "b": [2]}).to_parquet(tmp_path / "x.parquet", index=False)
    assert signature_of((tmp_path / "x.parquet").read_bytes()) == parquet_signature(["a", "b"])
    check_file(tmp_path / "x.parquet", parquet_signature(["a", "b"]))
    with pytest.raises(UserError, match="another kind"):
        check_file(tmp_path / "x.parquet", parquet_signature(["a", "c"]))
    assert signature_of(b"PAR1 and no more") == ""


def test_unwritable_paths_are_refused(own, tmp_path):
    with pytest.raises(UserError, match="is a folder; give a file"):
        check_file(own)
    with pytest.raises(UserError, match="cannot be written"):
        check_file(own / "thesis.tex" / "x.csv")
    with pytest.raises(UserError, match="cannot be written"):
        check_file(tmp_path / ("n" * 300) / "x")
    assert everything(own) == {"thesis.tex": b"years of work"}


def started(paths, settings):
    """A run that is killed after its first checkpoint."""
    with locked_outputs(paths, "code") as cache:
        cache.restore_outputs(str(settings), settings)
        cache.open_output()
        with Checkpoints(paths.state, str(settings)) as checkpoints:
            checkpoints.save(1, {})


def test_changed_settings_are_named(tmp_path):
    paths = RunPaths(tmp_path / "state", tmp_path / "out", ("result.json",), "search digits/parsec/seed0")
    started(paths, {"search": {"epochs": 40, "seed": 0}})
    with pytest.raises(
        CheckpointError, match=r"seed0; changed since: search\.epochs \(40, now 50\); restore that, or give another"
    ):
        started(paths, {"search": {"epochs": 50, "seed": 0}})
    remove_state(paths.state)
    (paths.output / "result.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"out: belongs to .* search\.epochs \(40, now 50\)"):
        started(paths, {"search": {"epochs": 50, "seed": 0}})
    started(paths, {"search": {"epochs": 40, "seed": 0}})


@pytest.mark.parametrize("clash", ["output is own", "state is own", "state is output", "data in output"])
def test_run_checks_its_folders(tmp_path, own, clash):
    output, state, data = tmp_path / "out", tmp_path / "state", tmp_path / "data"
    match clash:
        case "output is own":
            output = own
        case "state is own":
            state = own
        case "state is output":
            state = output
        case "data in output":
            data = output / "data"
    with pytest.raises(UserError):
        RunPaths(state, output, ("result.json",), "search digits").check(data=data)
    assert everything(own) == {"thesis.tex": b"years of work"}
    assert {path.name for path in tmp_path.iterdir()} == {"own"}
