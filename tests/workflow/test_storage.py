"""Outputs in object storage, through Snakemake's storage plugin for folders: what other storages do in the same way."""

import shutil
from importlib.util import find_spec

import pytest

PLUGIN = "snakemake_storage_plugin_fs"
pytestmark = [
    pytest.mark.skipif(find_spec(PLUGIN) is None, reason=f"{PLUGIN} is not installed"),
    pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync, which the storage plugin calls, is not installed"),
]
RUN = "search/digits/parsec/seed0"
SHARED = ("persistence", "software-deployment", "sources", "source-cache")


def test_only_remote_storage_holds_the_search(fresh, finished, tmp_path):
    stored = ("--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path / "store"))
    options = ("--until", "search", *stored, "--shared-fs-usage", *SHARED)
    done = fresh.run(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    remote = tmp_path / "store" / "results" / RUN
    assert (remote / "pi.parquet").read_bytes() == (finished.results / RUN / "pi.parquet").read_bytes()
    assert not (fresh.results / "search").exists()
    assert fresh.planned(*options) == {}
