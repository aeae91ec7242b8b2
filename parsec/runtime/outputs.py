"""Rules on what a command may write, replace and remove: folders with our marker, files of the kind that it writes.

No torch here: every call of Snakemake loads this module.
"""

import contextlib
import glob
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from parsec.config.base import overlap
from parsec.errors import UserError
from parsec.runtime.files import is_partial, read_json, remove_partial, reported, write_atomic

MARKER = ".parsec.json"
"""Name of the file that makes a folder ours; its `folder` is the kind. An empty one, made by hand, admits any kind."""
AUTHOR = "parsec-nas"
"""Author in the metadata of our figures."""
METRICS, FINISHED, MANIFEST = "metrics.jsonl", "finished", "manifest.json"
"""Names in the state folder of a run: its metrics, its output cache, and the file written last into that cache."""
STATE_FILES = ("step-*.damaged", "step-*.pt", METRICS, "lock", "run.lock")
"""Files of a run in its state folder, in the order of removal: checkpoints from the oldest to the newest."""


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Marker of a folder: empty if it was made by hand, None if there is none.

    Raises:
        UserError: the marker is damaged.
    """
    path = folder / MARKER
    if not path.is_file():
        return None
    marker = read_json(path, "the marker of a folder") if path.stat().st_size else {}
    if marker and not isinstance(marker.get("folder"), str):
        raise UserError(f"{path}: no marker of parsec, which has a key `folder`; choose another folder")
    return marker


def check_folder(folder: Path, kind: str) -> dict[str, Any]:
    """Refuse a folder with files that we did not write; returns its marker, empty for a new folder.

    Raises:
        UserError: not a folder, not ours, ours but of another kind, or not writable.
    """
    with reported(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: is a file; give a folder for {kind}")
        _check_writable(folder / MARKER)
        marker = read_marker(folder)
        # A killed writer may have left its temporary file before there was a marker.
        if marker is None and folder.exists() and any(not is_partial(path) for path in folder.iterdir()):
            raise UserError(
                f"{folder}: holds files and no {MARKER}, so it is not a folder that parsec made; "
                f"choose a new or empty folder for {kind}"
            )
    if marker and marker["folder"] != kind:
        raise UserError(f"{folder}: is parsec's folder for {marker['folder']}; choose another one for {kind}")
    return marker or {}


def check_run_folder(folder: Path, kind: str, run: str, names: Iterable[str]) -> None:
    """Refuse a folder that is not free for the outputs `names` of this `run`.

    Raises:
        UserError: as `check_folder`, or the folder holds the outputs of another run.
    """
    marker = check_folder(folder, kind)
    present = [name for name in names if (folder / name).exists()]
    if present and marker.get("run", run) != run:
        raise UserError(
            f"{folder}: holds {present[0]} of {marker['run']}, not of {run}; choose another folder, or move that away"
        )


def mark_folder(folder: Path, kind: str, **facts: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Make `folder` ours; its marker records the `facts`."""
    marker = {"folder": kind, **facts}
    # An equal marker is not rewritten, so that its time of modification stays.
    if not folder.is_dir() or read_marker(folder) != marker:
        write_atomic(folder / MARKER, json.dumps(marker, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def remove_written(folder: Path, patterns: Iterable[str]) -> None:
    """Remove our files in `folder`: those that match the patterns, in their order, and temporary ones.

    The folder and its marker go too if nothing else is left.
    """
    for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        path.unlink(missing_ok=True)
    remove_partial(folder)
    if not folder.is_dir() or [path.name for path in folder.iterdir()] not in ([], [MARKER]):
        return
    (folder / MARKER).unlink(missing_ok=True)
    # Another process may have begun to write here.
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove_state(folder: Path) -> None:
    """Remove the state of a run that no longer needs it; if this is killed, the newest checkpoint can still continue.

    Raises:
        UserError: the manifest of its output cache is damaged.
    """
    if (manifest := folder / FINISHED / MANIFEST).is_file():
        cached = read_json(manifest, "a list of outputs").get("files", {})
        # Only files of this folder, even if the manifest was changed to name others.
        remove_written(folder / FINISHED, [*(glob.escape(Path(name).name) for name in cached), MANIFEST])
    remove_written(folder, STATE_FILES)


def clear_output_cache(results: Path, stored: bool = False) -> None:
    """Remove the state folders of finished runs, output caches included; call it after a successful workflow.

    A run whose state is `<results>/state/X` has its outputs in `<results>/X`. A cache stays while an output is missing
    there, because it may have to put that back; `stored` outputs are elsewhere and not looked for.
    """
    for manifest in list((results / "state").rglob(f"{FINISHED}/{MANIFEST}")):
        state = manifest.parents[1]
        # A damaged cache and a folder that is not empty stay.
        with contextlib.suppress(OSError, UserError):
            names = read_json(manifest, "a list of outputs").get("files", {})
            output = results / state.relative_to(results / "state")
            if not stored and not all((output / name).exists() for name in names):
                continue
            remove_state(state)
            # Empty folders above it, up to `<results>/state`.
            for parent in state.relative_to(results).parents[:-1]:
                (results / parent).rmdir()


def check_apart(outputs: Mapping[str, Path], inputs: Mapping[str, Path | None]) -> None:
    """Refuse output folders that overlap one another or an input folder, one inside the other.

    Both arguments map the option by which the user names a folder to the folder.

    Raises:
        UserError: two that overlap, named.
    """
    written = list(outputs.items())
    others = [*written, *((name, folder) for name, folder in inputs.items() if folder is not None)]
    for number, (name, folder) in enumerate(written):
        for other_name, other in others[number + 1 :]:
            if overlap(folder, other):
                raise UserError(
                    f"{name} ({folder}) and {other_name} ({other}) overlap; choose a folder for {name} apart from it"
                )


def check_file(path: Path, signature: str | None = None) -> None:
    """Refuse, before any work, a file that could not be written or is of another kind than the one to be written.

    `signature` is that of the content to come, see `signature_of`; None if it is known only at writing.

    Raises:
        UserError: a folder, not writable, or a file of another kind.
    """
    with reported(path):
        if path.is_dir():
            raise UserError(f"{path}: is a folder; give a file")
        _check_writable(path)
    replaced = signature is not None and path.exists()
    if replaced and not (path.is_file() and signature_of(path.read_bytes()) == signature):
        raise UserError(f"{path}: exists and is another kind of file than would be written; give another name")


def write_outputs(contents: Mapping[Path, bytes | str]) -> None:
    """Write files whose names a user chose, or none of them if one is refused.

    Raises:
        UserError: an existing file is of another kind, no space is left, or the folder cannot be written to.
    """
    for path, content in contents.items():
        check_file(path, signature_of(content.encode() if isinstance(content, str) else content))
    for path, content in contents.items():
        write_atomic(path, content)


def signature_of(content: bytes) -> str:
    """Kind of a file of ours, from its content; a file may replace another of equal signature. Empty if it is not ours.

    A figure has our name in its metadata, JSON its `kind`, Parquet its columns, a table or a page its first line.
    """
    if content.startswith((b"\x89PNG", b"%PDF", b"<?xml", b"<svg")):
        return "figure" if AUTHOR.encode() in content else ""
    if content.startswith(b"PAR1"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return parquet_signature(pq.read_schema(pa.BufferReader(content)).names)
        except pa.ArrowInvalid:
            return ""
    if content.startswith(b"{"):
        try:
            kind = json.loads(content).get("kind")
        except (ValueError, RecursionError):
            return ""
        return f"json {kind}" if kind else ""
    line = content.partition(b"\n")[0].strip().decode(errors="replace")
    return f"text {line}" if line else ""


def parquet_signature(columns: Iterable[str]) -> str:
    """Signature of a Parquet file with these columns."""
    return f"parquet {', '.join(columns)}"


def _check_writable(path: Path) -> None:
    """Try to write into the folder of `path`, or into the first that exists above it; nothing is left there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # from Python 3.14 on, `exists` and `is_dir` answer False to what is refused here
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    tempfile.TemporaryFile(dir=parent).close()
