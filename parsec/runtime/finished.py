"""What a run keeps when it ends, so that outputs which Snakemake throws away need not be trained again.

A job may outlive the Snakemake that started it. The next one takes the job's outputs for half-written and deletes them;
hard links to them, which need no space, lie beside the run's state until the whole workflow has ended well.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from parsec.runtime.checkpoint import remove_checkpoints
from parsec.runtime.claim import claim
from parsec.runtime.distributed import ALONE, Ranks
from parsec.runtime.files import remove_partial, reported, temporary_path, write_atomic
from parsec.runtime.forget import FOLDER, MANIFEST
from parsec.runtime.logs import logger
from parsec.runtime.loop import finish
from parsec.runtime.store import METRICS


class Places(NamedTuple):
    """Where a run works, and what it leaves."""

    state: Path
    output: Path
    names: tuple[str, ...]
    """Its output files, in the order in which they may appear."""
    keep: bool
    """Whether links to the outputs stay in `state` when it ends; else nothing stays there."""


class Ending:
    """The way a run ends: with the outputs that it kept when it ended before, or with new ones."""

    def __init__(self, places: Places, code: str, ranks: Ranks) -> None:
        self._places, self._code, self._ranks = places, code, ranks
        self._kept = places.state / FOLDER

    def put_back(self, identity: str) -> bool:
        """Whether this very run has ended before under this code; its outputs are then where they belong.

        What was kept of another run is dropped. All ranks ask, and get the same answer.
        """
        return bool(self._ranks.agree(int(self._ranks.leads and self._put_back(identity)))[0])

    def _put_back(self, identity: str) -> bool:
        if not self._kept.exists():
            return False
        if reason := self._unfit(identity):
            logger.warning("%s: kept outputs are dropped, because %s; starting anew", self._kept, reason)
            shutil.rmtree(self._kept)
            return False
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
            shutil.rmtree(self._kept, ignore_errors=True)
            for name in places.names:
                _link(places.output / name, self._kept / name)
            manifest = _manifest(identity, self._code, self._kept, places.names)
            write_atomic(self._kept / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        self._leave()

    def _leave(self) -> None:
        if not self._places.keep:
            finish(self._places.state)
            return
        remove_checkpoints(self._places.state)
        (self._places.state / METRICS).unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(places: Places, code: str, ranks: Ranks = ALONE) -> Iterator[Ending]:
    """Hold the state of a run from before its first step until its outputs are final; `code` is what it runs.

    Raises:
        CheckpointError: another process runs on this state.
    """
    with contextlib.ExitStack() as held:
        if ranks.leads:
            held.callback(claim(places.state, "run.lock").release)
            with reported(places.output):
                remove_partial(places.output)
        yield Ending(places, code, ranks)


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
