"""The documentation builds as a site without a broken link, and what pages tell users to write works."""

import re
from pathlib import Path

import pytest
import yaml

from parsec.config import plan
from parsec.config.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "workflow/docs/own-images.md", "config/README.md")


def test_site_builds_strictly(tmp_path, monkeypatch):
    mkdocs_config = pytest.importorskip("mkdocs.config")
    from mkdocs.commands.build import build

    # Strict: any warning, such as a broken link, is an error.
    config = mkdocs_config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    assert "<math" in (tmp_path / "site" / "method" / "index.html").read_text()
    assert "parsec settings show" in (tmp_path / "site" / "commands" / "index.html").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_ten_lines_search_own_images(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", text, re.S) if "image_folder" in block)
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    assert len(lines) <= 10
    settings = load(yaml.safe_load(block))
    assert {run.dataset for run in plan.searches(settings)} == {"photos"}
    assert len(list(plan.retrains(settings))) == len(settings.seeds)


def test_readme_is_one_page():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", ["README.md", *sorted(p.name for p in (ROOT / "workflow/docs").glob("*.md"))])
def test_links_lead_to_files(page):
    path = ROOT / page if page == "README.md" else ROOT / "workflow" / "docs" / page
    links = re.findall(
        r"(?:\]\(|src=\")([^)#\s\"]+)", re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.S)
    )
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []
