"""A search space and a data set of a plugin go through the workflow, again when the plugin changes."""

import subprocess

from pages import blocks, install_plugin
from workspace import PROFILE, counts, environment


def test_own_space_goes_through_the_workflow(fresh):
    plugin = fresh.base / "plugin"
    plugin.mkdir()
    install_plugin(plugin)
    (fresh.base / "settings.yaml").write_text(blocks("own-space.md", "yaml")["yaml0"])

    def run(*options):
        env = {**environment(), "PYTHONPATH": str(plugin)}
        done = subprocess.run(fresh.command(*options), cwd=fresh.sources, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(*PROFILE)
    made = {str(path.relative_to(fresh.results)) for path in fresh.results.rglob("*") if path.is_file()}
    drawn = {f"figures/search/parsec/batch0/{name}-search-parsec-seed0.svg" for name in ("pi", "cells")}
    assert drawn | {"search/noise/parsec/seed0/pi.parquet", "figures/entropy.svg", "report.html"} <= made
    assert counts(run("--dry-run")) == {}

    module = plugin / "toy_space.py"
    module.write_text(module.read_text().replace("padding=1)\n        return", "padding=1) * 0.5\n        return"))
    assert counts(run("--dry-run"))["job_settings"] == 2
