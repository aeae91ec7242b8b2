"""What must fit together where a π comes from training-free scores, is studied with proposals, or fills a pool."""

from typing import TYPE_CHECKING

from parsec.settings.methods import RELAXED
from parsec.settings.variants import base_method, runs_stage, settings_of

if TYPE_CHECKING:
    from parsec.settings.tree import Settings


def check_scores_prior(settings: "Settings") -> None:
    """A π is fitted to scores of its own space, and only a search that reads a π of that form starts from it.

    Raises:
        ValueError: naming the key, what was given and what is allowed.
    """
    fitted = settings.scores_prior
    scores = settings.scores.get(fitted.scores) if fitted else None
    if fitted and (scores is None or scores.space != settings.space):
        raise ValueError(
            f"scores_prior.scores: got {fitted.scores!r}; allowed: a name under scores of the space {settings.space}"
        )
    if fitted and settings.prior.inputs != "independent":
        raise ValueError(f"prior.inputs: got {settings.prior.inputs}; allowed with scores_prior: independent")
    for stage in ("search", "finetune", "transfer"):
        for name in settings.methods:
            if runs_stage(settings, name, stage):
                _check_start(settings, name, stage)


def _check_start(settings: "Settings", name: str, stage: str) -> None:
    if getattr(settings_of(settings, name), stage).start != "scores":
        return
    if stage != "search" or settings.scores_prior is None or settings.space != "nasbench201":
        raise ValueError(f"{stage}.start: got scores; allowed: in the stage search on nasbench201, with a scores_prior")
    if base_method(settings, name) in RELAXED:
        raise ValueError(f"search.start: got scores; allowed with {name}: uniform, because its π has another form")


def check_proposal(settings: "Settings") -> None:
    """Proposals are studied for the π of a search with PARSEC where all architectures can be summed over.

    Raises:
        ValueError: no such search.
    """
    searched = any(base_method(settings, name) == "parsec" for name in settings.methods)
    if settings.proposal and not (searched and settings.space == "nasbench201"):
        raise ValueError("proposal: allowed: null, unless parsec searches nasbench201, because its π is studied")


def check_predictors(settings: "Settings") -> None:
    """Searches on darts see scores of darts; a pool that draws from π needs a search with PARSEC on its own space.

    Raises:
        ValueError: naming the key, what was given and what is allowed.
    """
    searched = any(base_method(settings, name) == "parsec" for name in settings.methods)
    drawable = searched and settings.prior.factors == "separate" and settings.prior.inputs == "independent"
    for name, made in settings.predictors.items():
        where = f"predictors.{name}"
        if made.problem == "darts":
            scores = settings.scores.get(made.scores)
            if scores is None or scores.space != "darts":
                raise ValueError(
                    f"{where}.scores: got {made.scores!r}; allowed: a name under scores of the space darts"
                )
        if any(pool.kind == "prior" for pool in made.pools) and not (drawable and settings.space == made.problem):
            raise ValueError(
                f"{where}.pools: got the kind prior; allowed where parsec searches {made.problem} with a π of separate "
                "factors and independent inputs, from which it draws"
            )
