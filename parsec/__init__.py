"""PARSEC: probabilistic neural architecture search (Casale, Gordon, Fusi; arXiv 1902.05116), from images to tables.

In Python: `load_prior` and `load_genotype` open what a search wrote, `search` and `retrain` run the stages,
`register_space` and `register_dataset` add spaces and data sets; see workflow/docs/python.md and own-space.md.
Importing the package imports nothing else of it.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parsec.api import (
        Genotype,
        Prior,
        RetrainRun,
        SearchRun,
        load_genotype,
        load_prior,
        register_dataset,
        register_space,
        retrain,
        search,
    )
    from parsec.network.layers import Cost
    from parsec.network.spaces import SpaceNetworks
    from parsec.space.edges import edge_space
    from parsec.space.spaces import SearchSpace

__version__ = "0.1.0"
__all__ = [
    "Cost",
    "Genotype",
    "Prior",
    "RetrainRun",
    "SearchRun",
    "SearchSpace",
    "SpaceNetworks",
    "__version__",
    "edge_space",
    "load_genotype",
    "load_prior",
    "register_dataset",
    "register_space",
    "retrain",
    "search",
]

_MODULES = {"Cost": "network.layers", "SpaceNetworks": "network.spaces", "edge_space": "space.edges"}
_MODULES |= {"SearchSpace": "space.spaces"}
"""Where names are that are not in `parsec.api`."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - functions and classes
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("search", "retrain"):
        # The packages of these names, which can be called.
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'api')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class CallablePackage(ModuleType):
    """A subpackage that passes calls on to the function of its name in `parsec.api`.

    Importing `parsec.search.run` puts the package in the place of any function `parsec.search`; so the package itself
    is what is called.
    """

    def __call__(self, *args: Any, **keywords: Any) -> Any:  # noqa: ANN401 - those of the function
        """See `parsec.api`, which is imported only now and whose code is none of the package's."""
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("parsec.api"), name)(*args, **keywords)
