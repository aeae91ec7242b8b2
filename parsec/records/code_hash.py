"""A fingerprint of the code that a stage executes, blind to words: comments, docstrings, messages, and formatting."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


@functools.cache
def code_fingerprint(*modules: str, package: Path = _PACKAGE) -> str:
    """First 16 hexadecimal digits of the SHA-256 over these modules and all they import, at any depth, in the package.

    Imports inside functions count; nothing is imported or executed. The answer is kept for the life of the process.
    Left out, because no result depends on them: comments, docstrings, descriptions of settings, the texts of raised
    errors, formatting, and the version number.

    Args:
        modules: full names, such as `parsec.search.run`.
        package: folder of the package whose name the modules begin with.

    Raises:
        ModuleNotFoundError: no such module in the package.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_closure(modules, package).items()):
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()[:16]


def _closure(modules: tuple[str, ...], package: Path) -> dict[str, str]:
    """Normalised source of the named modules and of everything that they import: module name → text."""
    missing = [name for name in modules if _file_of(name, package) is None]
    if missing:
        raise ModuleNotFoundError(f"no module {missing[0]} in {package}")
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file_of(name, package)
        if path is None or name in found:
            continue
        here = f"{name}." if path.name == "__init__.py" else name
        found[name], imported = _parsed(path.read_text(encoding="utf-8"), here)
        waiting += [name.rpartition(".")[0], *imported]
    return found


@functools.cache
def _parsed(text: str, here: str) -> tuple[str, tuple[str, ...]]:
    """Normalised source and imports; kept by text, because the closures of the stages share most of their modules."""
    tree = ast.parse(text)
    return _normalised(tree), tuple(_imports(tree, here))


def _file_of(name: str, package: Path) -> Path | None:
    first, *rest = name.split(".")
    if first != package.name:
        return None
    place = package.joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def _imports(tree: ast.Module, here: str) -> Iterator[str]:
    """Names that a module may import. `here`: the module's name, with a final dot if it is a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here.split(".")[: -node.level or None], *filter(None, [node.module])])
            base = base if node.level else str(node.module)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _normalised(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                node.body = [part for part in node.body if not _is_inert(part)] or [ast.Pass()]
            case ast.Raise(exc=ast.Call() as error):
                error.args = [argument for argument in error.args if not _is_text(argument)]
            case ast.Call():
                node.keywords = [k for k in node.keywords if k.arg != "description" or not _is_text(k.value)]
    return ast.unparse(tree)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_inert(node: ast.stmt) -> bool:
    """A docstring, or the package's version number: a release must not re-run GPU-days."""
    if isinstance(node, ast.Expr):
        return _is_text(node.value)
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__version__"]
