"""The folders of a run from its first step to its last: checked, marked, locked, and kept when it ends.

A job may outlive the Snakemake that started it. The next one takes the job's outputs for half-written and deletes them;
hard links to them, which need no space, lie beside the run's state until the whole workflow has ended well.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parsec.errors import CheckpointError
from parsec.runtime.checkpoint import checkpoint_files, claim, remove_checkpoints
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.files import remove_partial, reported, temporary_path, write_atomic
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

SHOWN = 3
"""Changed settings that one message names; the rest are counted."""


class Places(NamedTuple):
    """Where a run works, and what it leaves."""

    state: Path
    output: Path
    names: tuple[str, ...]
    """Its output files, in the order in which they may appear."""
    run: str
    """What the run is, in words that name its stage, data set, method and seeds."""
    keep: bool = False
    """Whether links to the outputs stay in `state` when it ends; else nothing stays there."""

    @property
    def kind(self) -> str:
        """What the output folder is for: the first word of `run`."""
        return self.run.partition(" ")[0]

    def check(self, **inputs: Path | None) -> None:
        """Refuse folders that are not ours to write to, before any work; `inputs` are folders that the run reads.

        Raises:
            UserError: a folder that holds another's files or another run's, or two that overlap.
        """
        # The first rank writes; by the time that others look, it may have begun to.
        if rank():
            return
        read = {f"--{name.replace('_', '-')}": folder for name, folder in inputs.items()}
        check_apart({"--output": self.output, "--state": self.state}, read)
        check_folder(self.state, "state")
        check_run_folder(self.output, self.kind, self.run, self.names)


class Ending:
    """The way a run ends: with the outputs that it kept when it ended before, or with new ones."""

    def __init__(self, places: Places, code: str, ranks: Ranks) -> None:
        self._places, self._code, self._ranks = places, code, ranks
        self._kept = places.state / FINISHED
        self._facts: dict[str, Any] = {}

    def begin(self, identity: str, settings: Mapping[str, Any], resumes: str | None = None) -> bool:
        """Mark the folders as this run's; True if it has ended before under this code, its outputs are back then.

        What was kept of another run is dropped. All ranks ask, and get the same answer.

        Args:
            identity: what outputs of this run depend on, code apart.
            settings: what the identity stands for, to name what has changed.
            resumes: what its checkpoints depend on, if that is less.

        Raises:
            CheckpointError: checkpoints or outputs are those of a run with other settings or data.
        """
        ended = self._ranks.is_main_process and (
            self._put_back(identity, settings) or self._mark(identity, resumes or identity, settings)
        )
        return bool(self._ranks.all_reduce_max(int(ended))[0])

    def _mark(self, identity: str, checkpoints: str, settings: Mapping[str, Any]) -> bool:
        places = self._places
        facts = {"run": places.run, "settings": settings}
        if checkpoint_files(places.state):
            _check_same(places.state, checkpoints, settings, "give another --state")
        if any((places.output / name).exists() for name in places.names):
            _check_same(places.output, identity, settings, "give another --output, or move that away")
        mark_folder(places.state, "state", identity=checkpoints, **facts)
        self._facts = {"identity": identity, **facts}
        return False

    def open_output(self) -> None:
        """Mark the output folder as this run's, before the first file is written there."""
        mark_folder(self._places.output, self._places.kind, **self._facts)

    def _put_back(self, identity: str, settings: Mapping[str, Any]) -> bool:
        if not self._kept.exists():
            return False
        if reason := self._unfit(identity):
            logger.warning("%s: kept outputs are dropped, because %s; starting anew", self._kept, reason)
            self._drop_kept()
            return False
        facts = {"run": self._places.run, "identity": identity, "settings": settings}
        mark_folder(self._places.output, self._places.kind, **facts)
        for name in self._places.names:
            _link(self._kept / name, self._places.output / name)
        logger.info("outputs of this run, which had ended before, are put back; delete %s to train anew", self._kept)
        self._leave()
        return True

    def _unfit(self, identity: str) -> str | None:
        """Why the kept outputs cannot stand for those of this run."""
        try:
            manifest = json.loads((self._kept / MANIFEST).read_bytes())
            found = _manifest(manifest["identity"], manifest["code"], self._kept, self._places.names)
        except (OSError, ValueError, KeyError, TypeError):
            return "they are incomplete"
        if (manifest["identity"], manifest["code"]) != (identity, self._code):
            return "they are of other settings, data or code"
        return None if manifest == found else "they have changed since"

    def finish(self, identity: str) -> None:
        """Call it when all outputs are written; killed in between, the run ends once more from what is left."""
        places = self._places
        if places.keep:
            # A file that this run has no more business with may be half of one that was killed here.
            self._drop_kept()
            for name in places.names:
                _link(places.output / name, self._kept / name)
            manifest = _manifest(identity, self._code, self._kept, places.names)
            write_atomic(self._kept / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        self._leave()

    def _drop_kept(self) -> None:
        remove_written(self._kept, (*self._places.names, MANIFEST))

    def _leave(self) -> None:
        if not self._places.keep:
            remove_state(self._places.state)
            return
        remove_checkpoints(self._places.state)
        (self._places.state / METRICS).unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(places: Places, code: str, ranks: Ranks = SINGLE_PROCESS) -> Iterator[Ending]:
    """Hold the state of a run from before its first step until its outputs are final; `code` is what it runs.

    Raises:
        CheckpointError: another process runs on this state.
    """
    with contextlib.ExitStack() as held:
        if ranks.is_main_process:
            with reported(places.state):
                # Before the lock, since a folder with a lock file and no marker would be taken for somebody's own.
                if read_marker(places.state) is None:
                    mark_folder(places.state, "state")
            held.callback(claim(places.state, "run.lock").release)
            with reported(places.output):
                remove_partial(places.output)
        yield Ending(places, code, ranks)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Values that differ between two trees of settings: `search.epochs (40, now 50)`; of hashes only the key."""
    lines: list[str] = []
    for key in dict.fromkeys((*before, *now)):
        here, old, new = f"{path}{key}", before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += differences(old, new, f"{here}.")
        elif old != new:
            hashed = any(isinstance(value, str) and re.fullmatch("[0-9a-f]{16,}", value) for value in (old, new))
            values = "" if hashed else f" ({json.dumps(old, default=str)}, now {json.dumps(new, default=str)})"
            lines.append(here + values)
    return lines


def _check_same(folder: Path, identity: str, settings: Mapping[str, Any], remedy: str) -> None:
    """Refuse the folder of a run with other settings or data, and name what differs."""
    marker = read_marker(folder) or {}
    if marker.get("identity", identity) == identity:
        return
    changes = differences(marker["settings"], settings) or ["the number of ranks"]
    more = f" (and {len(changes) - SHOWN} more)" if len(changes) > SHOWN else ""
    raise CheckpointError(
        f"{folder}: belongs to {marker['run']}; changed since: {', '.join(changes[:SHOWN])}{more}; "
        f"restore that, or {remedy}"
    )


def _manifest(identity: str, code: str, folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    return {"identity": identity, "code": code, "files": {name: _sha256(folder / name) for name in names}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where there are no links; the target appears whole, as new as now."""
    # To rename one name of a file to another of its names does nothing, and would leave the temporary one.
    if not (target.exists() and target.samefile(source)):
        with temporary_path(target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
    os.utime(target)
