"""What all tests share: an environment of their own, development data, and what came of faults, kept for a page."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parsec.config.datasets import Digits, PrepareJob
from parsec.records.provenance import machine, versions
from parsec.runtime.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "workflow": "runs or plans the workflow with Snakemake",
    "faults": "kills and disturbs trainings",
    "slurm": "starts a SLURM cluster of its own",
    "gpu": "needs a GPU",
}
"""Folders of tests, each a marker of its own."""
OUTCOMES = pytest.StashKey[dict[tuple[str, str], str]]()
PAGE = """# Faults tried, and what came of them

Every line is a test marked `fault` that passed in the run that wrote this page, on {when}: {cores} cores ({cpu}),
PyTorch {torch}, Snakemake {snakemake}. To write it again, with SLURM installed:

```sh
pytest -m fault --faults-page=workflow/docs/faults.md
```

| where | what happens | what comes of it |
| :--- | :--- | :--- |
{rows}
"""

# What a user's shell, or a job of a cluster that tests run in, would make of them.
for name in [name for name in os.environ if name.startswith(("PARSEC_", "SNAKEMAKE_", "SLURM_"))]:
    if name != "PARSEC_SHARED":
        del os.environ[name]
# A shell lets what it runs in the background ignore Ctrl-C, and what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# One thread, because two on a busy core are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# PyTorch reads this once, at the first product on a GPU, whether or not that one was to be deterministic.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def pytest_addoption(parser):
    parser.addoption("--faults-page", type=Path, help="write the faults that were tried, and what came of them, here")
    parser.addoption("--renew-pages", action="store_true", help="write the pages that tests compare with what they see")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(where, what): the test lets this happen, and sees what comes of it")
    for folder, what in FOLDERS.items():
        config.addinivalue_line("markers", f"{folder}: {what}")
    config.addinivalue_line("markers", "shared: asks for shared_data, which is not in the repository")
    config.stash[OUTCOMES] = {}


def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Folder of the prepared digits; read only."""
    from parsec.data.prepare import prepare  # tests without images need no PyTorch

    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder)
    return folder


@pytest.fixture(scope="session")
def shared_data():
    """A function name → that file of the development data; who asks for it is marked `shared`, and skipped without."""

    def find(name):
        folder = os.environ.get("PARSEC_SHARED")
        if not folder:
            pytest.skip("PARSEC_SHARED names no folder of development data")
        path = Path(folder, "data", name)
        return path if path.exists() else pytest.skip(f"no {name} in the development data")

    return find


@pytest.fixture
def outcome(request):
    """What a test marked `fault` calls at its end with what came of the fault, in a sentence."""
    where, what = request.node.get_closest_marker("fault").args
    return lambda sentence: request.config.stash[OUTCOMES].update({(where, what): sentence})


def pytest_sessionfinish(session, exitstatus):
    page = session.config.getoption("--faults-page")
    outcomes = session.config.stash[OUTCOMES]
    if page and outcomes and exitstatus == pytest.ExitCode.OK:
        write_atomic(page, faults_page(outcomes))


def faults_page(outcomes):
    rows = "\n".join(f"| {where} | {what} | {sentence} |" for (where, what), sentence in sorted(outcomes.items()))
    return PAGE.format(when=f"{datetime.now(UTC):%Y-%m-%d}", rows=rows, **machine(), **versions())
