"""Methods with some of their settings changed, so that they run, and are compared, beside the method itself."""

import json
from functools import cache
from typing import TYPE_CHECKING, cast

from pydantic import Field

from parsec.settings.base import Distinct, Method, Strict
from parsec.settings.changes import Change, apply

if TYPE_CHECKING:
    from parsec.settings.tree import Settings


class Variant(Strict):
    """A method under a name of its own, with settings of its own."""

    method: Method = Field(description="the method")
    stages: Distinct[str] | None = Field(None, description="stages that the variant runs; null: all that there are")
    changes: Distinct[Change] = Field(
        description="what it changes, each key with its whole path: `search.estimator.samples = 8` and the like"
    )


def base_method(settings: "Settings", name: str) -> Method:
    """The method behind a name under `methods`."""
    return settings.variants[name].method if name in settings.variants else cast(Method, name)


def runs_stage(settings: "Settings", name: str, stage: str) -> bool:
    """Whether a method or variant runs a stage."""
    chosen = settings.variants[name].stages if name in settings.variants else None
    return getattr(settings, stage) is not None and (chosen is None or stage in chosen)


def settings_of(settings: "Settings", name: str) -> "Settings":
    """The whole tree as a method or variant reads it.

    Raises:
        pydantic.ValidationError: a change leads nowhere or breaks a rule.
        KeyError: the path of a change leads through a key that there is not.
    """
    return _applied(_Cached(settings), settings.variants[name].changes) if name in settings.variants else settings


class _Cached:
    """Settings compared by identity, since a tree holds mappings and has no hash."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    def __hash__(self) -> int:
        return id(self.settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cached) and other.settings is self.settings


@cache
def _applied(held: _Cached, changes: tuple[str, ...]) -> "Settings":
    document = held.settings.model_dump(mode="json")
    apply(changes, document)
    # Checked as a tree of its own; variants of variants there are none.
    document |= {"methods": ["parsec"], "variants": {}}
    return type(held.settings).model_validate_json(json.dumps(document))
