"""The file of a job's settings, which the option `--settings` takes."""

import hashlib
from pathlib import Path


def job_file(folder: Path, text: str) -> Path:
    """Write settings into a folder, under a name that differs where the settings do."""
    path = folder / f"job-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
