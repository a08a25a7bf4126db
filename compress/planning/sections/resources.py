"""Reading a ``resources`` section, a recipe's or a step's: how many processes train together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compress.errors import suggestion
from compress.machine import cores, gpus
from compress.planning.resolver import Resolver
from compress.planning.types import Step
from compress.recipes.places import KeyPath
from compress.recipes.steps import StepText

_EXAMPLE = "resources: {processes: 2}"


def read_processes(value: Any, path: KeyPath, resolver: Resolver) -> int:
    """The processes that a section states; 1 with mistakes added where it states none that this
    machine can run, or as many machines like it."""
    if not isinstance(value, dict) or not value:
        resolver.wrong(path, f"resources: got {value!r}", _EXAMPLE)
        return 1
    for key in value:
        if key != "processes":
            hint = suggestion(key, ("processes",))
            resolver.wrong((*path, key), f"resources have no {key!r}", hint, of_value=False)
    count, place = value.get("processes", 1), (*path, "processes")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        resolver.wrong(place, f"processes must be a whole number from 1, got {count!r}")
        return 1
    wrong = _why_not(count, resolver.machines) if count > 1 else None
    if wrong is not None:
        resolver.wrong(place, f"processes: got {count}, {wrong[0]}", wrong[1])
        return 1
    return count


def _why_not(processes: int, machines: int) -> tuple[str, str] | None:
    """Why machines like this one cannot do a step with so many processes, and what to do; None if
    they can."""
    if processes > _most() * machines:
        where = "this machine has" if machines == 1 else f"each of {machines} machines has"
        return f"and {where} {_places()}: one for each at most", f"set at most {_most() * machines}"
    if processes % machines:
        return f"which {machines} machines cannot share evenly", f"set a multiple of {machines}"
    return None


def processes_of(step: Step, text: StepText, common: int, resolver: Resolver) -> int:
    """The processes that do a step: its own, or the recipe's, which are ``common``. One where the
    stage does not share its work; a mistake is added where the step itself asks for more."""
    shares = step.entry.cls.shares_work(step.options)
    if "resources" not in text.keys:
        return common if shares else 1
    path = (*text.path, "resources")
    own = read_processes(text.keys["resources"], path, resolver)
    if own > 1 and not shares:
        message = f"processes: {text.stage!r} trains nothing here, and one process does it"
        resolver.wrong((*path, "processes"), message, "leave resources out")
        return 1
    return own


def check_used(common: int, steps: Iterable[Step], resolver: Resolver) -> None:
    """Add a mistake where the recipe asks for several processes, and no step has several; or where
    several machines run it."""
    if any(step.processes > 1 for step in steps):
        return
    if resolver.machines > 1 and not resolver.mistakes:  # a number that is wrong counts as one
        message = f"no step trains with several processes, and {resolver.machines} machines run it"
        resolver.wrong((), message, f"resources: {{processes: {resolver.machines}}}")
    elif common > 1:
        message = f"processes: got {common}, and no step trains with more than one"
        resolver.wrong(("resources", "processes"), message, "leave resources out")


def _most() -> int:
    """The processes that this machine has room for."""
    return len(gpus()) or len(cores())


def _places() -> str:
    """What a process takes one of, and how many there are."""
    count, kind = _most(), "GPU" if gpus() else "core"
    return f"{count} {kind}{'' if count == 1 else 's'}"
