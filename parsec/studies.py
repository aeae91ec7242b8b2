"""What the verbs do that study tabular benchmarks, training-free scores and simulated searches."""

from collections.abc import Callable

from parsec.arguments import Arguments
from parsec.config.base import Running
from parsec.config.load import load_job
from parsec.errors import UserError


def _simulate(arguments: Arguments) -> None:
    """Replay searches on a tabular benchmark."""
    from parsec.config.tabular import SimulateJob
    from parsec.tabular.simulate import simulate as work

    given, job = arguments, load_job(arguments.settings, SimulateJob)
    work(job, given.benchmark, given.scores, given.seed, given.output)


def _ablate(arguments: Arguments, running: Running) -> None:
    """Score a few networks again and again under several conditions."""
    from parsec.config.zero_cost import AblationJob
    from parsec.zero_cost.ablation import ablate as work

    given, job = arguments, load_job(arguments.settings, AblationJob)
    work(job, given.data, given.seed, given.output, given.state, running)


def _kernels(arguments: Arguments) -> None:
    """Keep the kernels of networks of every accuracy."""
    from parsec.config.zero_cost import KernelsJob
    from parsec.zero_cost.kernel_matrices import kernels as work

    given, job = arguments, load_job(arguments.settings, KernelsJob)
    work(job, given.data, given.benchmark, given.seed, given.output)


def _tabulate(arguments: Arguments) -> None:
    """Write a table of the registry."""
    from parsec.report.tables.registry import TABLES, table_writer

    if arguments.name not in TABLES:
        raise UserError(f"tabulate: no table {arguments.name!r}; there are {', '.join(TABLES)}")
    table_writer(arguments.name)(arguments.inputs, arguments.output)


def _lookup(arguments: Arguments) -> None:
    from parsec.report.lookup import lookup

    lookup(arguments.runs, arguments.benchmark, arguments.output)


def _score(arguments: Arguments, running: Running) -> None:
    from parsec.config.zero_cost import SCORE_JOBS, ScoredSpace
    from parsec.zero_cost.score import score

    given, job = arguments, load_job(arguments.settings, SCORE_JOBS[load_job(arguments.settings, ScoredSpace).space])
    score(job, given.data, given.seed, given.output, given.state, running, given.benchmark)


def _predictor(arguments: Arguments, running: Running) -> None:
    from parsec.config.predictor import PREDICTOR_JOBS, PredictedProblem
    from parsec.predictor.search import Sources, search_repeatedly

    given, problem = arguments, load_job(arguments.settings, PredictedProblem).problem
    sources = Sources(given.benchmark, given.data, given.pi)
    job = load_job(given.settings, PREDICTOR_JOBS[problem])
    search_repeatedly(job, sources, given.seed, given.output, given.state, running)


def _fit_pi(arguments: Arguments) -> None:
    from parsec.config.zero_cost import FitPiJob
    from parsec.zero_cost.fit_prior import fit_pi

    fit_pi(load_job(arguments.settings, FitPiJob), arguments.scores, arguments.output)


def _propose(arguments: Arguments, running: Running) -> None:
    from parsec.config.predictor import ProposalJob
    from parsec.predictor.proposal import propose

    given, job = arguments, load_job(arguments.settings, ProposalJob)
    propose(job, given.benchmark, given.pi, given.seed, given.output, given.state, running)


def _import_benchmark(arguments: Arguments) -> None:
    from parsec.config.tabular import ImportJob
    from parsec.tabular.importing import import_benchmark

    import_benchmark(load_job(arguments.settings, ImportJob), arguments.source, arguments.output)


def actions(running: Callable[[], Running]) -> dict[str, Callable[[Arguments], None]]:
    """What every verb of a study does; `running` reads how a run behaves."""
    return {
        "score": lambda arguments: _score(arguments, running()),
        "ablate": lambda arguments: _ablate(arguments, running()),
        "predictor": lambda arguments: _predictor(arguments, running()),
        "propose": lambda arguments: _propose(arguments, running()),
        "fit-pi": _fit_pi,
        "import-benchmark": _import_benchmark,
        "lookup": _lookup,
        "kernels": _kernels,
        "simulate": _simulate,
        "tabulate": _tabulate,
    }
