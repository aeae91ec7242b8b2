"""What the verbs do that study training-free scores and simulated searches."""

from collections.abc import Callable

from parsec.arguments import Arguments
from parsec.errors import UserError
from parsec.settings.load import load_job
from parsec.settings.tree import Running


def _simulate(arguments: Arguments) -> None:
    """Replay searches on a tabular benchmark."""
    from parsec.settings.simulate import SimulateJob
    from parsec.simulate.run import simulate as work

    given, job = arguments, load_job(arguments.settings, SimulateJob)
    work(job, given.benchmark, given.scores, given.seed, given.output)


def _ablate(arguments: Arguments, running: Running) -> None:
    """Score a few networks again and again under several conditions."""
    from parsec.scores.ablate import ablate as work
    from parsec.settings.ablation import AblationJob

    given, job = arguments, load_job(arguments.settings, AblationJob)
    work(job, given.data, given.seed, given.output, given.state, running)


def _kernels(arguments: Arguments) -> None:
    """Keep the kernels of networks of every accuracy."""
    from parsec.scores.kernels import kernels as work
    from parsec.settings.kernels import KernelsJob

    given, job = arguments, load_job(arguments.settings, KernelsJob)
    work(job, given.data, given.benchmark, given.seed, given.output)


def _tabulate(arguments: Arguments) -> None:
    """Write a table of the registry."""
    from parsec.report.tabulate import TABLES

    if arguments.name not in TABLES:
        raise UserError(f"tabulate: no table {arguments.name!r}; there are {', '.join(TABLES)}")
    TABLES[arguments.name](arguments.inputs, arguments.output)


def actions(running: Callable[[], Running]) -> dict[str, Callable[[Arguments], None]]:
    """What every verb of a study does; `running` reads how a run behaves."""
    return {
        "ablate": lambda arguments: _ablate(arguments, running()),
        "kernels": _kernels,
        "simulate": _simulate,
        "tabulate": _tabulate,
    }
