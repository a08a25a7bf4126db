"""A package that is imported when something of it is first used.

The modules of contracts and plugins import numpy at their top, because most of them compute. A
command that only reads their declarations computes nothing, and the import takes a third of its
time.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def defer(name: str) -> None:
    """Have ``import name`` give a stand-in, which imports the package when it is first asked for an
    attribute. Nothing happens if the package is imported already."""
    sys.modules.setdefault(name, _StandIn(name))


class _StandIn(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # Python reads it at each import

    def __getattr__(self, attribute: str) -> Any:
        """Called for what is not there: everything, until the package is imported."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        package = importlib.import_module(self.__name__)
        self.__dict__.update(vars(package))
        return getattr(package, attribute)
