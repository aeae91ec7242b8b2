"""Methods with settings of their own: what they change, which runs they add, and what is refused."""

import json
from pathlib import Path

import pytest

from parsec.config import plan
from parsec.config.base import Search, as_json
from parsec.config.job_parts import search_job
from parsec.config.load import load
from parsec.errors import SettingsError

DEFAULT = load(Path(__file__).parents[3] / "config" / "config.yaml").model_dump(mode="json")
MEAN = {"method": "parsec", "stages": ["search"], "changes": {"search": {"estimator": {"likelihood": "mean"}}}}
DIRECT = {"method": "parsec", "stages": ["finetune"], "changes": {"finetune": {"init_from": "uniform", "epochs": 13}}}


def tree(**variants):
    document = json.loads(json.dumps(DEFAULT))
    return {**document, "methods": ["parsec", *variants], "variants": variants}


def test_variant_changes_its_own_settings_only():
    settings = load(tree(mean=MEAN))
    plain, changed = (search_job(settings, "search", name) for name in ("parsec", "mean"))
    assert (changed.method, changed.name, plain.name) == ("parsec", "mean", "parsec")
    assert changed.settings.estimator.likelihood == "mean"
    restored = changed.settings.estimator.model_copy(update={"likelihood": "sum"})
    assert changed.settings.model_copy(update={"estimator": restored}) == plain.settings
    assert as_json(plain) == as_json(search_job(load(tree()), "search", "parsec"))


def test_variant_adds_runs_and_trainings():
    before, settings = load(tree()), load(tree(direct=DIRECT))
    added = set(plan.searches(settings)) - set(plan.searches(before))
    assert added == {Search("finetune", "digits", "direct", seed) for seed in settings.seeds}
    assert all(plan.parent(settings, run) is None for run in added)
    trained = set(plan.retrains(settings)) - set(plan.retrains(before))
    assert {(run.origin, run.method) for run in trained} == {("finetune", "direct")}
    assert all(plan.genotype_of(settings, run) in added for run in trained)


def test_variant_starts_from_its_own_search():
    settings = load(tree(mean={**MEAN, "stages": None}))
    start = Search("finetune", "digits", "mean", 0)
    assert plan.parent(settings, start) == Search("search", "digits", "mean", 0)


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [
        (
            {"changes": {"search": {"estimator": {"sample": 3}}}},
            r"search\.estimator\.sample: unknown key; did you mean",
        ),
        ({"changes": {"search": {"estimator": {"samples": 1}}}}, r"samples.*got 1; allowed: a whole number ≥ 2"),
        ({"changes": {"compute": {"device": "cuda"}}}, "compute is nothing that a search reads"),
        (
            {"changes": ["search.estimator.samples = 3"]},
            r"got 'search\.estimator\.samples = 3'; write it nested: {search: {estimator: {samples: \.\.\.}}}",
        ),
        ({"changes": {"search.epochs": 3}}, r"got 'search\.epochs'; write it nested: {search: {epochs: \.\.\.}}"),
        ({"stages": ["retrain"]}, r"variants\.odd\.stages: got 'retrain'; allowed: search, finetune, transfer"),
        ({"stages": ["finetune"]}, "finetune starts from search, which it does not run; add it"),
        ({"method": "magic"}, r"variants\.odd\.method: got \"magic\""),
    ],
)
def test_faulty_variant_is_one_line(variant, complaint):
    with pytest.raises(SettingsError, match=complaint) as caught:
        load(tree(odd={**MEAN, **variant}))
    assert "\n" not in str(caught.value)


def test_unknown_methods_and_taken_names():
    with pytest.raises(SettingsError, match="methods: got 'mean'; allowed: parsec"):
        load({**tree(), "methods": ["mean"]})
    with pytest.raises(SettingsError, match=r"variants\.parsec: a method has this name already"):
        load({**tree(parsec=MEAN), "methods": ["parsec"]})
