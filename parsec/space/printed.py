"""The printed form of a genotype, `Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), …)`, as data.

DARTS, PC-DARTS and P-DARTS print it, and pt.darts with the pairs of each node in a list of their own. The text is
Python, which is parsed and never executed: nothing is read but one call of `Genotype` on lists, text and numbers.
"""

import ast
import re
import reprlib
import warnings

from parsec.errors import GenotypeError

FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
"""In the order of the tuple that is printed."""
LARGEST = 64
"""No number in a genotype is larger; `range(10**9)` must not become a list."""
_TIME = re.compile(r"^[\d\s/:,.-]+([AP]M\s+)?(?=[A-Za-z])")
"""Timestamp that the logs of DARTS and its derivatives have before `genotype = Genotype(...)`."""
FORM = "Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))"


def fields(text: str) -> dict[str, object]:
    """Fields of the one `Genotype(...)` of a text, by name; it may be assigned to a variable.

    Raises:
        GenotypeError: the text is anything else.
    """
    text = _TIME.sub("", text)
    call = _call(_parsed(text))
    if len(call.args) > len(FIELDS):
        raise GenotypeError(f"the printed genotype has {len(call.args)} fields; there are {', '.join(FIELDS)}")
    given = list(zip(FIELDS, call.args, strict=False))
    given += [(keyword.arg or "**", keyword.value) for keyword in call.keywords]
    values: dict[str, object] = {}
    for name, node in given:
        if name not in FIELDS or name in values:
            what = "twice the field" if name in values else "an unknown field,"
            raise GenotypeError(f"the printed genotype has {what} {name}; its form is {FORM}")
        values[name] = _value(node, name, text)
    return values


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # Python warns of odd text, such as unknown escapes, before anything can be said about it here.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        reason = f"line {error.lineno}, column {error.offset}: {error.msg}" if error.lineno else error.msg
    except ValueError as error:
        reason = str(error)
    except (RecursionError, MemoryError):
        # Which of them, and with what words, differs between versions of Python.
        reason = "nested too deeply"
    raise GenotypeError(f"the genotype is neither JSON nor the printed form {FORM} ({reason})")


def _call(module: ast.Module) -> ast.Call:
    """The one call of `Genotype` or `genotypes.Genotype`, by itself or as the value of an assignment."""
    if len(module.body) != 1:
        count = len(module.body)
        raise GenotypeError(f"the text has {count} statements; keep only the one genotype, in the form {FORM}")
    statement = module.body[0]
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", None)
        if name == "Genotype":
            return value
    raise GenotypeError(f"the text is no genotype; its printed form is {FORM}")


def _value(node: ast.expr, name: str, text: str) -> object:
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, name, text) for item in items]
        case ast.Constant(value=str() | int() as value):
            return value
        case ast.Call(ast.Name("range"), [ast.Constant(int() as start), ast.Constant(int() as stop)], []):
            if max(start, stop) <= LARGEST:
                return list(range(start, stop))
    shown = reprlib.repr(ast.get_source_segment(text, node))
    raise GenotypeError(f"{name}: {shown} has no place in a genotype; allowed: lists, text, numbers, range(2, 6)")
