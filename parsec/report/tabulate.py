"""The tables by name; each is a function of input files and an output path without its ending."""

from collections.abc import Callable
from pathlib import Path

from parsec.report import found, primed, proposals
from parsec.report.compare import table as comparison
from parsec.report.naswot import ablations, correlations, correlations101, evolutions, searches
from parsec.report.predictor import chosen, claims, gains
from parsec.report.tabulated import as_files

TABLES: dict[str, Callable[[list[Path], Path], None]] = {
    name: as_files(tabulate)
    for name, tabulate in {
        "naswot-correlation": correlations.tabulate,
        correlations101.NAME: correlations101.tabulate,
        "naswot-search": searches.tabulate,
        "naswot-evolution": evolutions.tabulate,
        "naswot-ablation": ablations.tabulate,
        "comparison": comparison.tabulate,
        "nasbench201-found": found.tabulate,
        "predictor": gains.tabulate,
        "predictor-claims": claims.tabulate,
        "predictor-chosen": chosen.tabulate,
        "primed": primed.tabulate,
        "proposal": proposals.tabulate,
    }.items()
}
