"""Search methods, one file each, and the stage that runs them; called, the function `parsec.api.search`."""

import sys

from parsec import CallablePackage

sys.modules[__name__].__class__ = CallablePackage
