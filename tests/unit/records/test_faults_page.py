"""The page of faults names every fault that a test lets happen."""

from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "workflow/docs/faults.md"


def test_the_page_names_every_fault(request: pytest.FixtureRequest):
    """Those of all tests of this run; `pytest -m fault --faults-page=workflow/docs/faults.md` writes it."""
    page = PAGE.read_text()
    missing = [
        marker.args
        for item in request.session.items
        for marker in item.iter_markers("fault")
        if f"| {marker.args[0]} | {marker.args[1]} |" not in page
    ]
    assert page.count("\n| ") > 20
    assert missing == []
