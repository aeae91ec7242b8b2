"""What a benchmark prints: aligned columns, units that fit, and verdicts in words."""

import pytest

from parsec.bench.run import format_seconds, render


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(123.4, "123 s"), (1.0, "1.00 s"), (0.9996, "1000 ms"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs")],
)
def test_durations_have_three_digits(seconds, shown):
    assert format_seconds(seconds) == shown


def row(contender, median, **more):
    times = {"median": median, "fastest": 0.9 * median, "slowest": 1.2 * median}
    return {"contender": contender, **times, "rate": 10 / median, "speedup": 2.0 / median, **more}


def document(*targets):
    rows = [row("the reference", 2.0, bound=0.1, over_bound=20.0), row("ours", 0.5)]
    return {
        "title": "What is compared",
        "device": "a card",
        "unit": "images",
        "reference": "the reference",
        "rows": rows,
        "targets": targets,
    }


def test_a_comparison_is_an_aligned_table():
    title, header, first, second, note = render(document()).splitlines()
    assert title == "What is compared"
    assert header.split() == ["median", "fastest", "slowest", "images/s", "speedup", "bound", "×", "bound"]
    assert " ".join(first.split()) == "the reference 2.00 s 1.80 s 2.40 s 5.00 1.00 100 ms 20.0"
    assert " ".join(second.split()) == "ours 500 ms 450 ms 600 ms 20.0 4.00 - -"
    assert len({len(line) for line in (header, first, second)}) == 1
    assert "the reference" in note


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            {"quantity": "speedup", "target": 2.0, "found": 4.0, "reached": True},
            "must reach a speedup of 2.00 (0.50 of the time): ours has 4.00 (0.25 of the time), reached on a card",
        ),
        (
            {"quantity": "median", "target": 0.025, "found": 0.5, "reached": False},
            "must reach at most 25.0 ms: ours has 500 ms, NOT reached on a card",
        ),
        (
            {"quantity": "rate", "target": 8.0, "found": 20.0, "reached": True},
            "must reach 8.00 images/s: ours has 20.0, reached on a card",
        ),
    ],
)
def test_targets_are_printed_with_measured_values(target, expected):
    assert render(document(target | {"contender": "ours"})).splitlines()[-1].strip() == expected


def test_memory_has_bytes_and_budgets():
    rows = [
        {"contender": "sequential", "peak_bytes": 3 << 20, "ratio": 0.75},
        {"contender": "grouped", "peak_bytes": 6 << 20, "ratio": 1.5, "budget_bytes": 8 << 20},
    ]
    limit = {"quantity": "ratio", "contender": "sequential", "target": 1.05, "found": 0.75, "reached": True}
    memory = {"title": "t", "unit": "bytes", "reference": "one child", "rows": rows, "targets": [limit]}
    lines = render(memory).splitlines()
    assert lines[2].split() == ["sequential", "3.0", "0.750", "-"]
    assert lines[3].split() == ["grouped", "6.0", "1.500", "8.0"]
    assert lines[-1].strip() == "at most 1.05 of the reference: sequential takes 0.750, kept"
