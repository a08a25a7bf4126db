"""Reading a step: its stage with options, its task, data and seed, its parent and its budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from compress.artifact import Traits
from compress.options import Options, unlabelled_data
from compress.planning.backoff import check_can_back_off
from compress.planning.graph import Graph
from compress.planning.resolver import Resolver
from compress.planning.sections.budget import read_budget
from compress.planning.sections.data import check_columns, read_data, read_unlabelled
from compress.planning.sections.resources import processes_of
from compress.planning.sections.task import read_task
from compress.planning.steps.choices import with_choices
from compress.planning.steps.fit import add_mistake, check_fit
from compress.planning.steps.names import check_name, find_parent, find_references
from compress.planning.types import DataChoice, Step, TaskChoice
from compress.recipes.places import KeyPath
from compress.recipes.steps import StepText
from compress.registry.plugins import Registered
from compress.stage import Stage


@dataclass(frozen=True)
class Defaults:
    """The recipe's task, data, seed and processes, which a step has unless it gives its own."""

    task: TaskChoice | None
    data: DataChoice | None
    seed: int
    processes: int = 1


def read_seed(value: Any, path: KeyPath, resolver: Resolver) -> int:
    """The seed; 0 with a mistake added where the value cannot be one."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
        message = f"seed must be a whole number from 0 to 4294967295, got {value!r}"
        resolver.wrong(path, message)
        return 0
    return value


def read_step(
    text: StepText, previous: str | None, defaults: Defaults, graph: Graph, resolver: Resolver
) -> None:
    """Add the step to the graph, and its mistakes to the resolver.

    ``previous`` names the model or step that it starts from, unless it has a ``from``."""
    before = len(resolver.mistakes)
    step = _resolve(text, previous, defaults, graph, resolver)
    if step is None:
        graph.broken.add(text.name)
        return
    if step.data is not None and "data" not in text.keys and "task" in text.keys:
        # The recipe's data were checked for the recipe's task, not for the step's own.
        check_columns(step.data, step.task, ("data",), resolver)
    check_fit(step, text, graph, resolver)
    step = with_choices(step, text, graph, resolver)
    step = replace(step, processes=processes_of(step, text, defaults.processes, resolver))
    if len(resolver.mistakes) > before:
        graph.broken.add(text.name)
    graph.steps[text.name] = _with_budget(step, text, graph, resolver)


def _resolve(
    text: StepText, previous: str | None, defaults: Defaults, graph: Graph, resolver: Resolver
) -> Step | None:
    """The step without its budget; None, with mistakes added, where its stage, options or task
    cannot be used."""
    check_name(text, resolver)
    entry = resolver.stage(text.stage, text.stage_path)
    own = _own_or_default(text, defaults, resolver)
    options = _read_options(text, entry, resolver) if entry else None
    parent = find_parent(text, previous, graph, resolver)
    references = find_references(text, options, graph, resolver) if options else {}
    if entry is None or options is None or own.task is None:
        return None
    unlabelled = _unlabelled(text, options, own.task, resolver)
    traits = entry.cls.produces(graph.traits_of(parent) or Traits(), options, own.task.name)
    return Step(
        name=text.name,
        entry=entry,
        options=options,
        task=own.task,
        data=own.data,
        seed=own.seed,
        parent=parent,
        references=references,
        traits=traits,
        place=str(resolver.recipe.place(*text.path)),
        unlabelled=unlabelled,
    )


def _unlabelled(
    text: StepText, options: Options, task: TaskChoice, resolver: Resolver
) -> dict[str, DataChoice]:
    """The source of each option that describes rows without targets, by its dotted name."""
    found = {}
    for option, described in unlabelled_data(options):
        choice = read_unlabelled(described, (*text.stage_path, *option), task, resolver)
        if choice is not None:
            found[".".join(option)] = choice
    return found


def _own_or_default(text: StepText, defaults: Defaults, resolver: Resolver) -> Defaults:
    """The step's own task, data and seed; where it has none, the recipe's."""
    task, data, seed = defaults.task, defaults.data, defaults.seed
    if "task" in text.keys:
        task = read_task(text.keys["task"], (*text.path, "task"), resolver)
    if "data" in text.keys:
        data = read_data(text.keys["data"], (*text.path, "data"), task, resolver)
    if "seed" in text.keys:
        seed = read_seed(text.keys["seed"], (*text.path, "seed"), resolver)
    return Defaults(task, data, seed)


def _read_options(
    text: StepText, entry: Registered[Stage[Any]], resolver: Resolver
) -> Options | None:
    options: Options | None = resolver.options(entry.cls.Options, text.options, text.stage_path)
    if options is None:
        return None
    for mistake in entry.cls.check(options):
        add_mistake(mistake, text, resolver)
    return options


def _with_budget(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> Step:
    """The step with its own budget, if the recipe gives it one."""
    if "budget" not in text.keys:
        return step
    path = (*text.path, "budget")
    others = {name: task for name, task in graph.tasks().items() if name != step.name}
    budget = read_budget(text.keys["budget"], path, others, step.task.name, resolver)
    if budget is None:
        return step
    limited = replace(step, budget=budget)
    check_can_back_off(limited, path, resolver)
    return limited
