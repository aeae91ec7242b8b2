"""An answer of the checklist and the records that it is read off."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from parsec.report.search_cost import Result
from parsec.settings.plan import PUBLISHED


class Answer(NamedTuple):
    """Yes, partly or no, and what in the records says so."""

    value: Literal["yes", "partly", "no"]
    evidence: str


@dataclass(frozen=True)
class Records:
    """All results of a run."""

    searches: list[Result]
    retrains: list[Result]

    @property
    def all(self) -> list[Result]:
        """Searches, then retrainings."""
        return [*self.searches, *self.retrains]

    @property
    def methods(self) -> list[str]:
        """Search methods whose genotypes were retrained, or looked up."""
        trained = {result["method"] for result in self.retrains if result["origin"] != PUBLISHED}
        return sorted(trained | {result["method"] for result in self.tabular})

    @property
    def tabular(self) -> list[Result]:
        """Searches whose genotypes a tabular benchmark has trained."""
        return [result for result in self.searches if result.get("space") == "nasbench201"]


Question = Callable[[Records], Answer]


def distinct(results: list[Result], key: str) -> list[str]:
    """The different values of a key of the provenance, as text, in the order of their first mention."""
    return list(dict.fromkeys(str(result["provenance"][key]) for result in results))
