"""Whether the packages are installed that a registered class imports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compress.errors import PackageMissing
from compress.machine import is_installed
from compress.planning import Plan
from compress.registry.plugins import Registered


def refuse_tasks_without_packages(plan: Plan) -> None:
    """Raise PackageMissing where a package is missing that a task of the plan needs: it would be
    missed when a model is trained and its answers are scored."""
    for choice in (plan.task, *(step.task for step in plan.steps)):
        refuse_missing_packages("task", choice.entry, choice.make().needed_packages())


def refuse_missing_packages(kind: str, entry: Registered[Any], packages: Iterable[str]) -> None:
    """Raise PackageMissing for the first of the ``packages`` of a registered class that is not
    installed."""
    missing = next((name for name in packages if not is_installed(name)), None)
    if missing:
        raise PackageMissing(
            f"{kind} {entry.name} needs the package {missing!r}{entry.hint_to_install}"
        )
