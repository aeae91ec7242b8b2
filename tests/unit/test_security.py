"""What nobody's input may do here: be executed, unpickled, put into a shell line, or leave its folder."""

import ast
import os
import re
from pathlib import Path

import pytest

from parsec.config.load import load
from parsec.errors import DeviceError, SettingsError
from parsec.runtime.checkpoint import Checkpoints
from parsec.runtime.device import acquire_free
from parsec.runtime.files import temporary_path, write_atomic

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "parsec").rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))]
EXECUTING = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp"}
UNPICKLING = {"pickle.load", "pickle.loads", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
REQUIRED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "tar.extractall": ("filter", "data"),  # no absolute paths, no links or devices outside of the folder
}
"""Calls that must be given an argument, and its value."""
SAFE_IN_SHELL = r"threads|resources\.\w+|wildcards\.(seed|run|origin)|params\.figure"
"""What rules may put into a shell line without quotes: numbers, and names that the rules themselves write."""


def calls(path):
    """Every call in a module: its line, the name called, and its constant arguments by keyword."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            given = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            yield f"{path.name}:{node.lineno}", ast.unparse(node.func), given


def forbidden(name, given):
    key, value = REQUIRED.get(name, ("shell", given.get("shell") or None))
    return (
        name in EXECUTING | UNPICKLING
        or (name.endswith((".extractall", ".extract")) and name not in REQUIRED)
        or given.get("shell") is True
        or (name in REQUIRED and given.get(key) != value)
    )


def test_no_module_executes_or_unpickles_input():
    violations = [(where, name) for path in MODULES for where, name, given in calls(path) if forbidden(name, given)]
    assert not violations
    assert sum(1 for path in MODULES for _, name, _ in calls(path) if name in REQUIRED) >= 3


def test_the_guard_sees_what_it_forbids(tmp_path):
    lines = ["eval(x)", "pickle.loads(x)", "torch.load(x)", "np.load(x)", "tar.extractall(x)", "run(x, shell=True)"]
    (tmp_path / "bad.py").write_text("\n".join(lines))
    assert len([name for _, name, given in calls(tmp_path / "bad.py") if forbidden(name, given)]) == len(lines)


def test_no_rule_executes_what_it_reads():
    for path in RULES:
        text = path.read_text(encoding="utf-8")
        match = re.search(
            r"(?<![\w.])(eval|exec|__import__)\(|os\.system|os\.popen|shell=True|pickle|yaml\.\w*load", text
        )
        assert not match or match[0] == "yaml.safe_load", (path, match)


def test_rules_quote_every_shell_value():
    lines = [line for path in RULES for line in path.read_text().splitlines() if re.match(r'\s+" ?[^"]*\{.*"$', line)]
    values = [value for line in lines if "--" in line for value in re.findall(r"(?<!\{)\{([^{}]+)\}", line)]
    assert len(values) > 20
    assert not [value for value in values if not re.fullmatch(rf"[^:]+:q|{SAFE_IN_SHELL}", value)]


SETTINGS = {"name": "n", "seeds": [0], "search": {}, "retrain": {}}


@pytest.mark.parametrize("name", ["$(touch x)", "a b", "../up", "-n", "a;b", "`x`", "", "{x}", "ä", "a\nb"])
def test_invalid_dataset_names_are_refused(name):
    with pytest.raises(SettingsError, match="cannot be a name; use at most 64 letters, digits") as caught:
        load({**SETTINGS, "datasets": {name: {"source": "digits"}}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["{x}", "<results>", "-n", "a\nb", "a\x00", ""])
def test_results_folders_snakemake_misreads_are_refused(folder):
    with pytest.raises(SettingsError, match="results: ") as caught:
        load({**SETTINGS, "datasets": {}, "results": folder})
    assert "\n" not in str(caught.value)


def modes(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_file_permissions_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "a" / "output", "text")
        with Checkpoints(tmp_path / "b", "aa") as checkpoints:
            checkpoints.save(1, {})
    finally:
        os.umask(before)
    assert modes(tmp_path / "a") == {"output": mode}
    assert modes(tmp_path / "b")["step-000000000001.pt"] == mode


def test_temporary_names_cannot_be_guessed(tmp_path):
    names = set()
    for _ in range(20):
        with temporary_path(tmp_path / "x") as temporary:
            temporary.touch()
            names.add(temporary.name)
    assert len(names) == 20


def test_locks_of_devices_are_private(tmp_path):
    with acquire_free(["a"], tmp_path / "locks"):
        assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "locks")
    os.lchown(tmp_path / "link", os.getuid() or 12345, -1)
    if os.getuid() == 0:
        with pytest.raises(DeviceError, match="another user"), acquire_free(["a"], tmp_path / "link"):
            pass
