"""Taking over what was measured in an earlier go of a run: where all that it depends on is the
same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.machine import timing_environment, versions
from compress.measurement import Measured
from compress.meter import Effort
from compress.registry.plugins import Registry


def measured_under(
    artifact: str,
    others: Mapping[str, str],
    data: str | None,
    task: str,
    effort: Effort,
    registry: Registry,
) -> dict[str, Any]:
    """All that measurements depend on, JSON-ready: the digests of the artifact, of the ``others``
    that take turns with it by their names, and of the data; the task's plugin; this machine; the
    meters and engines."""
    return {
        "effort": effort,
        "artifact": artifact,
        "others": dict(others),
        "data": data,
        "machine": timing_environment(),
        "task": task,
        "meters": registry.origins("meters"),
        "engines": {
            n: [entry.origin, versions(entry.cls.packages)] for n, entry in registry.engines.items()
        },
    }


def take_over(one: Path, other: Path) -> None:
    """Make ``other`` say what the file ``one`` says, unless it was measured under the same but for
    the others that took turns: then it may hold more comparisons, for it is written anew when a
    reference comes later."""
    if _alone(one) != _alone(other):
        shutil.copyfile(one, other)


def _alone(file: Path) -> dict[str, Any] | None:
    """What a file's measurements depend on, the others aside; None where it is none or broken."""
    try:
        return {**json.loads(file.read_text(encoding="utf-8"))["of"], "others": {}}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measured_before(file: Path, of: Mapping[str, Any]) -> Measured | None:
    """What a file of an earlier go says, where it is ``of`` the same; of more others too, for what
    is measured before the reference is there is measured again beside it.

    A file that is broken counts as none: measuring makes it anew."""
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        before = values["of"]
        same = {
            **before,
            "others": {n: digest for n, digest in before["others"].items() if n in of["others"]},
        } == of
        return Measured.from_dict(values) if same else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
