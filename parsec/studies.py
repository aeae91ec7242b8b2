"""What the verbs do that study training-free scores and simulated searches."""

from parsec.arguments import Arguments
from parsec.settings.load import load_job


def simulate(arguments: Arguments) -> None:
    """Replay searches on a tabular benchmark."""
    from parsec.settings.simulate import SimulateJob
    from parsec.simulate.run import simulate as work

    given, job = arguments, load_job(arguments.settings, SimulateJob)
    work(job, given.benchmark, given.scores, given.seed, given.output)
