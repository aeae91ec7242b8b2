"""What the jobs of studies on benchmarks read of the settings; `jobs` says what such a part is for."""

from parsec.config.predictor import AnyPredictorJob, ProposalJob
from parsec.config.settings import Settings
from parsec.config.tabular import SimulateJob
from parsec.config.zero_cost import SCORE_JOBS, AblationJob, AnyScoreJob, FitPiJob, KernelsJob


def score_job(settings: Settings, name: str) -> AnyScoreJob:
    """What a scoring reads."""
    scores = settings.scores[name]
    # Every draw is a job of its own, which does not depend on how many there are.
    given = {key: value for key, value in scores if key != "draws"}
    return SCORE_JOBS[scores.space](**given, compute=settings.compute)


def fit_pi_job(settings: Settings) -> FitPiJob:
    """What fitting π to scores reads."""
    assert settings.scores_prior is not None
    given = {key: value for key, value in settings.scores_prior if key != "scores"}
    return FitPiJob(**given, space=settings.space, prior=settings.prior)


def ablation_job(settings: Settings) -> AblationJob:
    """What the ablation of a score reads."""
    assert settings.ablation is not None
    return AblationJob(**dict(settings.ablation), compute=settings.compute)


def kernels_job(settings: Settings) -> KernelsJob:
    """What the kernels of a figure read."""
    assert settings.kernels is not None
    return KernelsJob(**dict(settings.kernels), compute=settings.compute)


def simulate_job(settings: Settings, name: str) -> SimulateJob:
    """What simulated searches read."""
    return settings.simulations[name].search


def predictor_job(settings: Settings, name: str) -> AnyPredictorJob:
    """What searches with a predictor read."""
    return settings.predictors[name]


def proposal_job(settings: Settings) -> ProposalJob:
    """What the study of proposals reads."""
    assert settings.proposal is not None
    return settings.proposal
