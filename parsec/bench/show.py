"""What a benchmark prints: one aligned table a contest."""

from typing import Any

COLUMNS = ("", "median", "fastest – slowest", "rate", "× reference", "floor", "distance")


def seconds(value: float) -> str:
    """A duration with three digits in the unit that fits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def contest(document: dict[str, Any]) -> str:
    """The table of a contest, its target below."""
    cells = [COLUMNS, *(_cells(row, document["unit"]) for row in document["rows"])]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = [document["title"]]
    for row in cells:
        aligned = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row, widths, strict=True))][1:]
        lines.append("  ".join([row[0].ljust(widths[0]), *aligned[1:]]))
    return "\n".join([*lines, *_target(document)])


def _cells(row: dict[str, Any], unit: str) -> tuple[str, ...]:
    return (
        row["contender"],
        seconds(row["median"]),
        f"{seconds(row['fastest'])} – {seconds(row['slowest'])}",
        f"{row['rate']:.4g} {unit}/s",
        f"{row['speedup']:.2f}",
        seconds(row["floor"]),
        f"{row['distance']:.1f}",
    )


def _target(document: dict[str, Any]) -> list[str]:
    target = document["target"]
    if target is None:
        return []
    verdict = "reached" if target["reached"] else "not reached"
    return [
        f"must reach {target['target']:.2f} × {document['reference']} (at most {1 / target['target']:.2f} of its time): "
        f"{target['contender']} has {target['speedup']:.2f} ({1 / target['speedup']:.2f}), {verdict}"
    ]
