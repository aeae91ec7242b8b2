"""Letting go of what finished runs kept, which every call of Snakemake loads: no torch here."""

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

FOLDER, MANIFEST = "finished", "manifest.json"
"""Where a run keeps its outputs below its state, and the file there that is written last."""


def forget(states: Iterable[Path]) -> None:
    """Remove these state folders of runs that kept their outputs; for a workflow whose every job has ended well."""
    for state in states:
        if not (state / FOLDER / MANIFEST).exists():
            continue
        shutil.rmtree(state)
        with contextlib.suppress(OSError):
            for parent in state.parents:
                parent.rmdir()
