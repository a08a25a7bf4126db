"""Reading the hooks of one plugin. What is wrong becomes lines for the user; the rest is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pluggy

from compress.errors import listed, name_and_first_line, shortened, suggestion, with_hint
from compress.registry.checking import mistakes_of
from compress.registry.hookspecs import PROJECT
from compress.registry.kinds import CONTRACTS, KINDS, Kind, hook_of

T = TypeVar("T")
Hooks = Mapping[str, Callable[[], Any]]


def hooks_of(plugin: Any, where: str, problems: list[str]) -> Hooks:
    """The hooks of a plugin by name. One that does not exist, or that takes arguments, becomes a
    line of ``problems``: a plugin for a newer version still gives the rest to this one."""
    marks = pluggy.PluginManager(PROJECT)
    known, hooks = [hook_of(kind) for kind in KINDS], {}
    for name in dir(plugin):
        if marks.parse_hookimpl_opts(plugin, name) is None:
            continue
        hook = getattr(plugin, name)
        parameters = list(inspect.signature(hook).parameters)
        if name not in known:
            text = f"{where}: there is no hook {name!r}; its other hooks are used"
            problems.append(with_hint(text, suggestion(name, known)))
        elif parameters:
            problems.append(
                f"{where}: {name} takes arguments ({listed(parameters)}): define it without any"
            )
        else:
            hooks[name] = hook
    return hooks


def classes_of(hooks: Hooks, kind: Kind, where: str, problems: list[str]) -> list[type[Any]]:
    """The complete classes of a kind that the hooks return. What is wrong with the others becomes
    lines of ``problems``."""
    name = hook_of(kind)
    if name not in hooks:
        return []
    returned = guarded(lambda: [hooks[name]()], f"{where}: {name} failed", problems)
    if returned is None:
        return []
    given = returned[0]
    if not isinstance(given, Sequence) or isinstance(given, str):
        text = shortened(repr(given))
        problems.append(f"{where}: {name} returned {text}: return a list of classes")
        return []
    classes = []
    for one in given:
        mistakes = mistakes_of(one, CONTRACTS[kind])
        problems += [f"{where}: {name}: {mistake}" for mistake in mistakes]
        if not mistakes:
            classes.append(one)
    return classes


def guarded(call: Callable[[], T], complaint: str, problems: list[str]) -> T | None:
    """The call's result; None if it fails. The failure, of whatever class, becomes one line of
    ``problems``, because one plugin must not stop the others."""
    try:
        return call()
    except (Exception, SystemExit) as error:  # a module may be a script that ends itself
        problems.append(f"{complaint}: {name_and_first_line(error)}")
        return None
