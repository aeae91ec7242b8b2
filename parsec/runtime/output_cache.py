"""Cache of finished outputs: restores them if Snakemake deletes the outputs of a job that outlived it.

A job may outlive the Snakemake that started it. The next one takes the job's outputs for incomplete and deletes them.
Hard links to them, which take no space, stay next to the run's state until the whole workflow has succeeded.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parsec.errors import CheckpointError
from parsec.runtime.checkpoint import checkpoint_files, lock_dir, remove_checkpoints
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.files import remove_partial, reported, sha256_of, temporary_path, write_atomic
from parsec.runtime.launch import rank
from parsec.runtime.logs import logger
from parsec.runtime.outputs import (
    FINISHED,
    MANIFEST,
    METRICS,
    check_apart,
    check_folder,
    check_run_folder,
    mark_folder,
    read_marker,
    remove_state,
    remove_written,
)

MAX_CHANGES = 3
"""Most changed settings that a message names; the others are counted."""


class RunPaths(NamedTuple):
    """Folders of a run, and the files that it leaves."""

    state: Path
    output: Path
    names: tuple[str, ...]
    """Output files, in the order in which they may appear."""
    run: str
    """Stage, data set, method and seeds of the run, for messages and markers."""
    cache: bool = False
    """Whether links to the outputs stay in `state` when the run ends; otherwise nothing stays there."""

    @property
    def kind(self) -> str:
        """Kind of the output folder: the first word of `run`."""
        return self.run.partition(" ")[0]

    def check(self, **inputs: Path | None) -> None:
        """Refuse, before any work, folders that are not ours to write to; `inputs` are folders that the run reads.

        Raises:
            UserError: a folder that holds another's files or another run's, or two that overlap.
        """
        # Only the main process writes; by the time that the others look, it may have started to.
        if rank():
            return
        read = {f"--{name.replace('_', '-')}": folder for name, folder in inputs.items()}
        check_apart({"--output": self.output, "--state": self.state}, read)
        check_folder(self.state, "state")
        check_run_folder(self.output, self.kind, self.run, self.names)


class OutputCache:
    """Outputs of a run: restored if it finished before under the same code, else written and cached.

    Call in this order: `restore_outputs`; if that is False, `open_output`, write the files, `finish`.
    """

    def __init__(self, paths: RunPaths, code: str, ranks: Ranks) -> None:
        self._paths, self._code, self._ranks = paths, code, ranks
        self._folder = paths.state / FINISHED
        self._marker: dict[str, Any] = {}

    def restore_outputs(self, identity: str, settings: Mapping[str, Any], resumes: str | None = None) -> bool:
        """Mark the folders as this run's; True if it finished before under this code, with its outputs restored.

        Cached outputs of another run are dropped. A collective: all ranks call it and get the same answer.

        Args:
            identity: what the outputs depend on, except for the code.
            settings: what the identity stands for, to name what has changed.
            resumes: what the checkpoints depend on, if that is less.

        Raises:
            CheckpointError: checkpoints or outputs are those of a run with other settings or data.
        """
        restored = False
        if self._ranks.is_main_process:
            self._marker = {"run": self._paths.run, "identity": identity, "settings": settings}
            restored = self._restore(identity)
            if not restored:
                self._mark_state(identity, resumes or identity, settings)
        return bool(self._ranks.all_reduce_max(int(restored))[0])

    def _restore(self, identity: str) -> bool:
        """Whether there are cached outputs of this run; then they are linked into the output folder."""
        if not self._folder.exists():
            return False
        if reason := self._mismatch(identity):
            logger.warning("%s: cached outputs are dropped, because %s; starting again", self._folder, reason)
            self._drop()
            return False
        self.open_output()
        for name in self._paths.names:
            _link(self._folder / name, self._paths.output / name)
        logger.info("outputs of this run, which had ended before, are put back; delete %s to train again", self._folder)
        self._clear_state()
        return True

    def _mismatch(self, identity: str) -> str | None:
        """Reason why the cached outputs cannot stand for those of this run; None if they can."""
        try:
            recorded = json.loads((self._folder / MANIFEST).read_bytes())
            present = _manifest(recorded["identity"], recorded["code"], self._folder, self._paths.names)
        except (OSError, ValueError, KeyError, TypeError):
            return "they are incomplete"
        if (recorded["identity"], recorded["code"]) != (identity, self._code):
            return "they are of other settings, data or code"
        return None if recorded == present else "they have changed since"

    def _mark_state(self, identity: str, resumes: str, settings: Mapping[str, Any]) -> None:
        """Mark the state folder as this run's, unless a folder holds something of a run with other settings."""
        paths = self._paths
        if checkpoint_files(paths.state):
            _check_same(paths.state, resumes, settings, "give another --state")
        if any((paths.output / name).exists() for name in paths.names):
            _check_same(paths.output, identity, settings, "give another --output, or move that away")
        mark_folder(paths.state, "state", **{**self._marker, "identity": resumes})

    def open_output(self) -> None:
        """Mark the output folder as this run's; call it before the first file is written there."""
        mark_folder(self._paths.output, self._paths.kind, **self._marker)

    def finish(self) -> None:
        """Cache the outputs, all of which are written, and remove checkpoints and metrics.

        If it is killed, the next attempt finishes the run from what is left.
        """
        paths = self._paths
        if paths.cache:
            # A cached file that is no longer one of `names` may be a leftover of an attempt that was killed here.
            self._drop()
            for name in paths.names:
                _link(paths.output / name, self._folder / name)
            manifest = _manifest(self._marker["identity"], self._code, self._folder, paths.names)
            # Last, so that a cache with a manifest is complete.
            write_atomic(self._folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        self._clear_state()

    def _drop(self) -> None:
        remove_written(self._folder, (*self._paths.names, MANIFEST))

    def _clear_state(self) -> None:
        if not self._paths.cache:
            remove_state(self._paths.state)
            return
        remove_checkpoints(self._paths.state)
        (self._paths.state / METRICS).unlink(missing_ok=True)


@contextlib.contextmanager
def locked_outputs(paths: RunPaths, code: str, ranks: Ranks = SINGLE_PROCESS) -> Iterator[OutputCache]:
    """Output cache of a run of this code, whose first rank locks the state until the outputs are final.

    Raises:
        CheckpointError: another process runs on this state.
    """
    with contextlib.ExitStack() as locks:
        if ranks.is_main_process:
            with reported(paths.state):
                # Before the lock: a folder with a lock file but no marker would be taken for someone else's.
                if read_marker(paths.state) is None:
                    mark_folder(paths.state, "state")
            locks.callback(lock_dir(paths.state, "run.lock").release)
            with reported(paths.output):
                remove_partial(paths.output)
        yield OutputCache(paths, code, ranks)


def setting_changes(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Values that differ between two trees of settings: `search.epochs (40, now 50)`; only the key for hashes."""
    lines: list[str] = []
    for key in dict.fromkeys((*before, *now)):
        here, old, new = f"{path}{key}", before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += setting_changes(old, new, f"{here}.")
        elif old != new:
            hashed = any(isinstance(value, str) and re.fullmatch("[0-9a-f]{16,}", value) for value in (old, new))
            values = "" if hashed else f" ({json.dumps(old, default=str)}, now {json.dumps(new, default=str)})"
            lines.append(here + values)
    return lines


def _check_same(folder: Path, identity: str, settings: Mapping[str, Any], remedy: str) -> None:
    """Refuse the folder of a run with other settings or data, naming what differs."""
    marker = read_marker(folder) or {}
    if marker.get("identity", identity) == identity:
        return
    changes = setting_changes(marker["settings"], settings) or ["the number of ranks"]
    more = f" (and {len(changes) - MAX_CHANGES} more)" if len(changes) > MAX_CHANGES else ""
    raise CheckpointError(
        f"{folder}: belongs to {marker['run']}; changed since: {', '.join(changes[:MAX_CHANGES])}{more}; "
        f"restore that, or {remedy}"
    )


def _manifest(identity: str, code: str, folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Manifest of the cache: what its files belong to, and the SHA-256 of each."""
    return {"identity": identity, "code": code, "files": {name: sha256_of(folder / name) for name in names}}


def _link(source: Path, target: Path) -> None:
    """Link `target` to a file, or copy it where links are impossible; atomic, with the current time."""
    # Renaming one link of a file to another does nothing, and would leave the temporary one.
    if not (target.exists() and target.samefile(source)):
        with temporary_path(target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
    os.utime(target)
