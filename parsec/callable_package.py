"""Packages that are functions as well: `parsec.search(...)` runs a search, `parsec.search.run` is a module."""

import importlib
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A subpackage that passes calls on to the function of its name in `parsec.api`.

    Importing `parsec.search.run` puts the package in the place of any function `parsec.search`; so the package itself
    is what is called.
    """

    def __call__(self, *args: Any, **keywords: Any) -> Any:  # noqa: ANN401 - those of the function
        """See `parsec.api`, which is imported only now and whose code is none of the package's."""
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("parsec.api"), name)(*args, **keywords)
