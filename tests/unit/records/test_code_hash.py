"""The code fingerprint: changes with what a stage executes, and with nothing else."""

import pytest

from parsec.records.code_hash import code_fingerprint

RUN = '''"""Runs."""
import os
from toy.net import blocks


def run():
    """Run."""
    from .. import late
    return blocks, late, os
'''

BLOCKS = '''from .layers import size


class Block:
    """A block."""

    size = Field(1, description="pixels")

    def f(self):  # old
        if size < 0:
            raise ValueError(f"{size}: too small")
        return size
'''

FILES = {
    "__init__.py": '"""Package."""\n\nif TYPE_CHECKING:\n    import toy.unrelated\n\n__version__ = "1"\n',
    "stage/__init__.py": "",
    "stage/run.py": RUN,
    "stage/near.py": "near = 1\n",
    "net/__init__.py": "",
    "net/blocks.py": BLOCKS,
    "net/layers/__init__.py": "from . import deep\n\nsize = deep.size\n",
    "net/layers/deep.py": "size = 3\n",
    "late.py": "import toy.plain\n",
    "plain.py": "plain = 1\n",
    "unrelated.py": "x = 1\n",
}


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "toy"


def fingerprint(package):
    code_fingerprint.cache_clear()
    return code_fingerprint("toy.stage.run", package=package)


def edited(package, name, old, new):
    path = package / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return fingerprint(package)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("stage/run.py", '"""Runs."""', '"""Runs it."""'),
        ("stage/run.py", '    """Run."""\n', ""),
        ("net/blocks.py", '"""A block."""', '"""Another."""\n'),
        ("net/blocks.py", "# old", "# new"),
        ("net/blocks.py", '"pixels"', '"side, pixels"'),
        ("net/blocks.py", '"{size}: too small"', '"too small, got {size}"'),
        ("net/layers/deep.py", "size = 3", "size   =   (3)"),
        ("__init__.py", '"1"', '"2"'),
        ("__init__.py", "import toy.unrelated", "import toy.stage"),
        ("unrelated.py", "x = 1", "x = 2"),
        ("stage/near.py", "near = 1", "near = 2"),
    ],
)
def test_edits_without_effect(package, name, old, new):
    assert fingerprint(package) == edited(package, name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("stage/run.py", "return blocks, late", "return late, blocks"),
        ("stage/__init__.py", "", "x = 1\n"),
        ("net/blocks.py", "return size", "return size + 1"),
        ("net/blocks.py", "Field(1,", "Field(2,"),
        ("net/blocks.py", "size < 0", "size < 1"),
        ("net/blocks.py", "ValueError", "TypeError"),
        ("net/layers/__init__.py", "deep.size", "deep.size * 2"),
        ("net/layers/deep.py", "size = 3", "size = 4"),
        ("late.py", "import toy.plain", "import toy.plain as p"),
        ("plain.py", "plain = 1", "plain = 2"),
    ],
)
def test_edits_with_effect(package, name, old, new):
    assert fingerprint(package) != edited(package, name, old, new)


NESTED = r'''plain = [
    f"{x['a']} {x:{'>' if right else '<'}{w}} {x!r:>5}",
    f"{f'{x}'}",
    f"it's {x}",
    f'"{x}"',
    f"",
    f"a\n{x}{{",
    f"""{x['"']}""",
]
'''


def test_all_versions_of_python_agree(package):
    # Python 3.12 and 3.13 write quotes within quotes into f-strings, where 3.11 and 3.14 take others.
    (package / "plain.py").write_text(NESTED)
    assert fingerprint(package) == "5f85306eb92cf13d"


def test_fingerprint_is_cached_per_process(package):
    code_fingerprint.cache_clear()
    before = code_fingerprint("toy.late", package=package)
    (package / "plain.py").write_text("plain = 5\n")
    assert code_fingerprint("toy.late", package=package) == before


def test_unknown_module_is_named(package):
    with pytest.raises(ModuleNotFoundError, match=r"toy\.stage\.walk"):
        code_fingerprint("toy.stage.walk", package=package)


def test_modules_have_their_own_fingerprints():
    assert code_fingerprint("parsec.runtime.loop") != code_fingerprint("parsec.records.provenance")
