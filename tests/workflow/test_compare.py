"""Several methods and a variant at one budget: searched, retrained, and set beside each other."""

import json

import pandas as pd
from workspace import Workspace

METHODS = ["parsec", "darts", "mean"]
BUDGET = 20_000


def test_methods_are_compared_at_one_budget(fresh: Workspace) -> None:
    for path, value in {
        "methods": METHODS,
        "variants.mean": {
            "method": "parsec",
            "stages": ["search"],
            "changes": {"search": {"estimator": {"likelihood": "mean"}}},
        },
        "seeds": [0, 1],
        "search.budget": BUDGET,
        "finetune": None,
        "transfer": None,
        "measure.depths": [3],
    }.items():
        fresh.change(path, value)
    fresh.remove("retrain.digits-folder")
    done = fresh.run("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = pd.read_csv(fresh.results / "tables" / "comparison.csv").set_index("method")
    assert list(rows.index) == METHODS
    assert (rows["runs"] == 2).all()
    assert rows["forward_images"].between(BUDGET / 2, BUDGET).all()
    assert (rows["top1_error_difference_n"].iloc[1:] == 2).all()
    results = [json.loads(path.read_text()) for path in fresh.results.glob("search/digits/*/seed0/result.json")]
    assert {result["method"]: result["forward_images"] for result in results} == rows["forward_images"].to_dict()
    made = {path.stem for path in (fresh.results / "figures").glob("*.svg")}
    assert made >= {"spending", "depths", "operations", "cost"}
    assert fresh.planned() == {}
