"""compress: recipes that make transformer models small and fast, every number measured on what was
saved.

``compress.plan``, ``compress.run``, ``compress.load`` and ``compress.diff`` are the Python
interface; nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

from typing import Any

from pluggy import HookimplMarker

from compress.version import __version__

__all__ = ["__version__", "diff", "hookimpl", "load", "plan", "run"]

hookimpl = HookimplMarker("compress")


def __getattr__(name: str) -> Any:
    if name in ("diff", "load", "plan", "run"):
        from compress import api

        return getattr(api, name)
    raise AttributeError(f"module 'compress' has no attribute {name!r}")
