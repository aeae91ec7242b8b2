"""What a benchmark prints: an aligned table of every comparison, and below it what was to be reached."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

MEBIBYTE = 2**20
Row = dict[str, Any]
Document = dict[str, Any]


def text(document: Document) -> str:
    """The table of a comparison, of times, of memory or of whole searches."""
    if document["unit"] == "bytes":
        return "\n".join([document["title"], *_table(_memory(document)), *_memory_targets(document)])
    if document["unit"] == "searches":
        return "\n".join([document["title"], *_table(_searches(document)), _legend(document)])
    return "\n".join([document["title"], *_table(_times(document)), *_times_targets(document)])


def duration(value: float) -> str:
    """Seconds with three digits, in the unit that fits them."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{number(value / scale)} {unit}"
    return f"{number(value / 1e-6)} µs"


def number(value: float) -> str:
    """A number with three digits at least, none of them an exponent."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join(["  " + first.ljust(widths[0]), *numbers])


def _times(document: Document) -> list[tuple[str, ...]]:
    header = ("", "median", "fastest", "slowest", f"{document['unit']}/s", "speed", "floor", "distance")
    return [header, *map(_time, document["rows"])]


def _time(row: Row) -> tuple[str, ...]:
    seen = "floor" in row
    return (
        row["contender"],
        *(duration(row[key]) for key in ("median", "fastest", "slowest")),
        number(row["rate"]),
        f"{row['speedup']:.2f}",
        duration(row["floor"]) if seen else "-",
        f"{row['distance']:.1f}" if seen else "-",
    )


def _times_targets(document: Document) -> Iterator[str]:
    yield f"  speed: times as fast as {document['reference']}; distance: median over floor"
    for target in document["targets"]:
        yield f"  must reach {_wanted(target, document)}: {_verdict(target)}"


def _wanted(target: Row, document: Document) -> str:
    match target["quantity"]:
        case "speedup":
            return f"a speed of {target['target']:.2f} ({1 / target['target']:.2f} of the time)"
        case "rate":
            return f"{number(target['target'])} {document['unit']}/s"
    return f"at most {duration(target['target'])}"


def _verdict(target: Row) -> str:
    found = target["found"]
    shown = {
        "speedup": f"{found:.2f} ({1 / found:.2f} of the time)",
        "rate": number(found),
        "median": duration(found),
    }[target["quantity"]]
    return f"{target['contender']} has {shown}, {'reached' if target['reached'] else 'NOT reached'}"


def _searches(document: Document) -> list[tuple[str, ...]]:
    header = ("", "time", "speed", "children forward", "backward", "entropy of π", "accuracy")
    return [header, *map(_search, document["rows"])]


def _search(row: Row) -> tuple[str, ...]:
    return (
        row["contender"],
        duration(row["seconds"]),
        f"{row['speedup']:.2f}",
        *(f"{row[key]:.0f}" for key in ("forward_passes", "backward_passes")),
        f"{row['entropy']:.2f} nats",
        f"{100 * row['accuracy']:.1f} ± {100 * row['accuracy_deviation']:.1f} %",
    )


def _legend(document: Document) -> str:
    return (
        f"  means over seeds; speed: median of times, against {document['reference']}; accuracy: of the mode of π, "
        "with shared weights on the validation half, ± standard deviation"
    )


def _memory_targets(document: Document) -> Iterator[str]:
    yield f"  reference: {document['reference']}"
    yield from map(_limit, document["targets"])


def _memory(document: Document) -> list[tuple[str, ...]]:
    header = ("", "peak MiB", "× reference", "budget MiB")
    rows = [
        (
            row["contender"],
            f"{row['peak_bytes'] / MEBIBYTE:.1f}",
            f"{row['ratio']:.3f}",
            f"{row['budget_bytes'] / MEBIBYTE:.1f}" if "budget_bytes" in row else "-",
        )
        for row in document["rows"]
    ]
    return [header, *rows]


def _limit(target: Row) -> str:
    against = {"ratio": "the reference", "budget": "its budget"}[target["quantity"]]
    verdict = "kept" if target["reached"] else "NOT kept"
    return (
        f"  at most {target['target']:.2f} of {against}: {target['contender']} takes {target['found']:.3f}, {verdict}"
    )
