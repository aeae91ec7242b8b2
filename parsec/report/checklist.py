"""The NAS best-practice checklist (Lindauer and Hutter, JMLR 21(243), 2020), answered from result files alone."""

from collections.abc import Sequence
from pathlib import Path

from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report import comparison, evidence
from parsec.report.answers import Answer, Question, Records
from parsec.runtime.outputs import write_output

SECTIONS: dict[str, tuple[tuple[str, Question], ...]] = {
    "Releasing code": (
        ("Code of the training pipeline that evaluates the final architectures", evidence.training_code),
        ("Code of the search space", evidence.method_code),
        ("Hyper-parameters and seeds of the final evaluation", evidence.training_settings),
        ("Code of the NAS method", evidence.method_code),
        ("Hyper-parameters and seeds of the NAS method", evidence.method_settings),
    ),
    "Comparing methods": (
        ("Same benchmark for all methods: data, split, space, training code", comparison.same_benchmark),
        ("Confounding factors controlled: hardware, library versions, run times", comparison.confounders),
        ("Ablation studies", comparison.ablations),
        ("Same evaluation protocol for all methods", comparison.same_protocol),
        ("Performance compared over time", comparison.over_time),
        ("Comparison with random search", comparison.random_search),
        ("Several runs, with their seeds", comparison.several_runs),
        ("Tabular or surrogate benchmarks", comparison.benchmarks),
    ),
    "Reporting": (
        ("How hyper-parameters were tuned, and what that took", evidence.tuning),
        ("Cost of the whole method, end to end", evidence.whole_cost),
        ("All details of the experimental set-up", evidence.setup),
    ),
}

HEAD = """# NAS best-practice checklist

After M. Lindauer and F. Hutter, *Best Practices for Scientific Research on Neural Architecture Search*,
JMLR 21(243), 2020, items in short form. Every answer is read off the result files of this run: {searches} searches and
{retrains} trainings from scratch. What they do not show is answered with no.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _section(title: str, answers: list[tuple[str, Answer]]) -> list[str]:
    rows = [f"| {item} | **{answer.value}** | {_cell(answer.evidence)} |" for item, answer in answers]
    return [f"## {title}", "", "| item | answer | evidence |", "| :--- | :--- | :--- |", *rows, ""]


def _limits(records: Records) -> list[str]:
    """What was selected on what, and which data stands in for other data."""
    selections = dict.fromkeys(f"{result['kind']}: {result['selection']}" for result in records.all)
    replaced = dict.fromkeys(r["provenance"]["stand_in"] for r in records.all if r["provenance"]["stand_in"])
    lines = ["## Selection and data", "", *(f"- {sentence}" for sentence in selections)]
    return [*lines, *(f"- data: {sentence}" for sentence in replaced)]


def write_checklist(results: list[Path], output: Path, left_out: Sequence[str] = ()) -> None:
    """Answer the checklist from result.json files of searches and retrainings, as Markdown.

    `left_out` says what the run was asked for and could not make.

    Raises:
        UserError: no result, or a damaged one.
    """
    documents = read_results(results)
    if not documents:
        raise UserError("the checklist needs result files; give the result.json of searches and retrainings")
    by_kind = {kind: [d for d in documents if d["kind"] == kind] for kind in ("search", "retrain")}
    records = Records(by_kind["search"], by_kind["retrain"])
    lines = [HEAD.format(searches=len(records.searches), retrains=len(records.retrains))]
    for title, items in SECTIONS.items():
        lines += _section(title, [(item, question(records)) for item, question in items])
    missing = ["", "## Left out", "", *(f"- {line}" for line in left_out)] if left_out else []
    write_output(output, "\n".join([*lines, *_limits(records), *missing]) + "\n")
