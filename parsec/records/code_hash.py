"""A fingerprint of the code that a stage executes, blind to words: comments, docstrings, messages, and formatting."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
QUOTES = ("'", '"', '"""', "'''")
"""Of strings, in the order in which Python prefers them."""


@functools.cache
def code_fingerprint(*names: str, package: Path = _PACKAGE) -> str:
    """First 16 hexadecimal digits of the SHA-256 over the named code and all that it imports, at any depth.

    Imports inside functions count; nothing is imported or executed. The answer is kept for the life of the process.
    Ignored, because no result depends on them: comments, docstrings, descriptions of settings, the texts of raised
    errors, formatting, the version number, and what is only for type checkers.

    Args:
        names: modules, such as `parsec.search.run`, or functions, such as `parsec.report.figures.curves:plot_entropy`,
            of whose module only what the function uses counts.
        package: folder of the package whose name the modules begin with.

    Raises:
        ModuleNotFoundError: no such module in the package, or no such function in it.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_closure(names, package).items()):
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()[:16]


def _closure(names: tuple[str, ...], package: Path) -> dict[str, str]:
    """Normalised source of the named code and of everything that it imports, by module or module:name."""
    sources: dict[str, str] = {}
    waiting = [tuple(name.partition(":")[::2]) for name in names]
    for module, name in waiting:
        path = _file_of(module, package)
        if path is None or (name and not _parsed(path.read_text(encoding="utf-8"), module, name)[0]):
            raise ModuleNotFoundError(f"no {name or 'module'} in {module} in {package}")
    while waiting:
        module, name = waiting.pop()
        path, key = _file_of(module, package), f"{module}:{name}" if name else module
        if path is None or key in sources:
            continue
        here = f"{module}." if path.name == "__init__.py" else module
        sources[key], imported = _parsed(path.read_text(encoding="utf-8"), here, name)
        waiting.append((module.rpartition(".")[0], ""))
        for base, imported_name in imported:
            submodule = f"{base}.{imported_name}"
            if not imported_name or _file_of(submodule, package):
                waiting.append((submodule.rstrip("."), ""))
            # Of a function only the names that are imported count, of a whole module whole modules.
            waiting.append((base, imported_name if name and not _file_of(submodule, package) else ""))
    return sources


@functools.cache
def _parsed(text: str, here: str, name: str = "") -> tuple[str, tuple[tuple[str, str], ...]]:
    """Normalised source and imports; kept by text, because the closures of the stages share most of their modules."""
    tree = ast.parse(text)
    if name:
        tree.body = _used_by(tree, name)
    return _normalised(tree) if tree.body else "", tuple(_imports(tree, here))


def _used_by(tree: ast.Module, function: str) -> list[ast.stmt]:
    """Top-level statements of a module that a name in it uses, directly or through others, in their order."""
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _defined(statement):
            definitions.setdefault(name, []).append(statement)
    if function not in definitions:
        return []
    # Statements that define nothing may have effects, so they count.
    used = {id(s): s for s in tree.body if not list(_defined(s)) and not _is_inert(s)}
    waiting = [function, *(name for s in used.values() for name in _mentioned(s))]
    while waiting:
        for statement in definitions.pop(waiting.pop(), ()):
            used[id(statement)] = statement
            waiting += _mentioned(statement)
    return [statement for statement in tree.body if id(statement) in used]


def _defined(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


def _mentioned(statement: ast.stmt) -> list[str]:
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]


def _file_of(name: str, package: Path) -> Path | None:
    first, *rest = name.split(".")
    if first != package.name:
        return None
    location = package.joinpath(*rest)
    return next((path for path in (location / "__init__.py", location.with_suffix(".py")) if path.is_file()), None)


def _imports(tree: ast.Module, here: str) -> Iterator[tuple[str, str]]:
    """Modules that a module may import, each with the name taken from it or an empty text.

    `here` is the module's name, with a final dot if it is a package.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here.split(".")[: -node.level or None], *filter(None, [node.module])])
            base = base if node.level else str(node.module)
            yield from ((base, alias.name) for alias in node.names)


def _normalised(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                node.body = [part for part in node.body if not _is_inert(part)] or [ast.Pass()]
            case ast.Raise(exc=ast.Call() as error):
                error.args = [argument for argument in error.args if not _is_text(argument)]
            case ast.Call():
                node.keywords = [k for k in node.keywords if k.arg != "description" or not _is_text(k.value)]
    return ast.unparse(_Quoted().visit(tree))


class _Quoted(ast.NodeTransformer):
    """Puts f-strings in quotes that do not occur in them: Python 3.12 and 3.13 may nest them, 3.11 and 3.14 do not."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        self.generic_visit(node)
        text = ast.unparse(node).removeprefix("f")
        inside = text[3:-3] if text[:3] in QUOTES else text[1:-1]
        quotes = next(quotes for quotes in QUOTES if quotes not in inside)
        return ast.Name(f"f{quotes}{inside}{quotes}")

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        node.value = self.visit(node.value)
        if node.format_spec:  # an f-string without quotes
            self.generic_visit(node.format_spec)
        return node


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_inert(node: ast.stmt) -> bool:
    """A docstring, a block for type checkers, or the package's version number: a release must not re-run GPU-days."""
    if isinstance(node, ast.Expr):
        return _is_text(node.value)
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__version__"]
