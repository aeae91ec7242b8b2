"""The tables by name. A module is imported when its table is made, so that its code fingerprint covers no other."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

TABLES = {
    "accuracy": "accuracy_table.make_accuracy_table",
    "naswot-correlation": "naswot.make_correlation_table",
    "naswot-correlation-nasbench101": "naswot.make_correlation101_table",
    "naswot-search": "naswot_search.make_search_table",
    "naswot-evolution": "naswot_search.make_evolution_table",
    "naswot-ablation": "naswot.make_ablation_table",
    "comparison": "comparison.make_comparison_table",
    "nasbench201-found": "nasbench201.make_found_table",
    "predictor": "predictor.make_gain_table",
    "predictor-claims": "predictor.make_claims_table",
    "predictor-chosen": "predictor.make_selected_table",
    "primed": "nasbench201.make_warm_start_table",
    "proposal": "proposals.make_proposal_table",
    "ranking": "ranking.make_ranking_table",
}
"""Name of each table → module and function in this package; the function maps input files to a `TableResult`."""


def table_code(name: str) -> str:
    """The function that makes table `name`, as `code_fingerprint` takes it: `module:function`."""
    return f"parsec.report.tables.{TABLES[name].replace('.', ':')}"


def table_writer(name: str, **options: str | None) -> Callable[[list[Path], Path], None]:
    """The function that makes table `name` from input files and writes it as `write_table` does.

    `options` are keyword arguments of the table's function, such as the data set of `accuracy`.
    """
    from parsec.report.tables.write import write_table  # planning reads the names only, without pandas

    module, function = table_code(name).split(":")
    make = getattr(import_module(module), function)
    return lambda inputs, output: write_table(make(inputs, **options), output)
