"""The steps that a step's stage may choose from: those that an option lists, else those that the
installed stages offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from compress.artifact import Traits
from compress.machine import is_there
from compress.options import (
    Options,
    PathMark,
    StageChoicesMark,
    artifacts_named,
    fields_marked,
    flat,
    splits_asked,
    unlabelled_data,
)
from compress.planning.edges import edge_mistake
from compress.planning.graph import Graph
from compress.planning.resolver import Resolver
from compress.planning.sections.data import splits_of
from compress.planning.types import Step
from compress.recipes.places import KeyPath
from compress.recipes.steps import StepText
from compress.registry.plugins import Registered
from compress.stage import Stage


def with_choices(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> Step:
    """The step with the choices of the option that lists stages, if its stage has one. A mistake is
    added for each that cannot be made of the step's input."""
    if graph.has_mistake(step.parent) or not step.entry.cls.chooses(step.options):
        return step
    traits, before = graph.traits_of(step.parent), len(resolver.mistakes)
    choices: dict[str, Step] = {}
    for option in fields_marked(type(step.options), StageChoicesMark):
        listed = getattr(step.options, option)
        path = (*text.stage_path, option)
        if listed is None:
            found = _offered(step, traits, resolver)
        else:
            found = _listed(listed, path, step, traits, resolver)
        for choice in found:
            if choice.name in choices:
                message = f"{option} names {choice.name} twice"
                resolver.wrong(path, message, "leave one out", of_value=False)
            choices[choice.name] = choice
        if not choices and step.entry.cls.needs_choice and len(resolver.mistakes) == before:
            message = f"{text.stage!r} has nothing to choose from"
            resolver.wrong(text.stage_path, message, f"list stages under {option}:", of_value=False)
    return replace(step, choices=choices)


def _listed(
    listed: list[Any], path: KeyPath, step: Step, traits: Traits | None, resolver: Resolver
) -> Iterator[Step]:
    for number, item in enumerate(listed):
        items = {item: {}} if isinstance(item, str) else item
        for name, values in items.items():
            place = (*path, number) if isinstance(item, str) else (*path, number, name)
            entry = resolver.stage(name, place)
            if entry is None:
                continue
            options = resolver.options(entry.cls.Options, values, place)
            if options is None:
                continue
            problem = _misfit(entry, options, step, traits)
            if problem:
                resolver.wrong(place, *problem)
            else:
                yield _choice(step, entry, options, values, traits)


def _offered(step: Step, traits: Traits | None, resolver: Resolver) -> Iterator[Step]:
    """What installed stages offer, without what cannot be made here."""
    for entry in resolver.registry.stages.values():
        if not all(map(is_there, entry.cls.libraries)):
            continue
        for values in entry.cls.offers:
            options = entry.cls.Options.model_validate(values)
            if not _misfit(entry, options, step, traits):
                yield _choice(step, entry, options, values, traits)


def _misfit(
    entry: Registered[Stage[Any]], options: Options, step: Step, traits: Traits | None
) -> tuple[str, str] | None:
    """Why a stage cannot make something of the step's input, and what to do; None where it can."""
    stage, task = entry.cls, step.task
    for mistake in stage.check(options):
        return f"{entry.name}: {mistake.option}: {mistake.message}", mistake.hint
    edge = edge_mistake(stage, traits, step.parent, task.name, []) if step.parent else None
    if edge:
        return edge.message, edge.hint
    problem = stage.task_misfit(task.entry.cls)
    if problem:
        return f"{entry.name!r} {problem}", "leave it out"
    for mistake in stage.check_task(options, task.entry.cls):
        return f"{entry.name}: {mistake.option}: {mistake.message}", mistake.hint
    needed = [*stage.splits_needed(options), *(split for _, split in splits_asked(options))]
    missing = [split for split in needed if split not in splits_of(step.data)]
    if missing:
        return f"{entry.name!r} needs {' and '.join(missing)} data", "add them under data:"
    needs_more: list[Any] = [*artifacts_named(options), *unlabelled_data(options)]
    if stage.chooses(options):
        needs_more += fields_marked(type(options), StageChoicesMark)
    if needs_more or fields_marked(type(options), PathMark) or stage.reads_earlier:
        return f"{entry.name!r} needs more than this step's input", "give it a step of its own"
    return None


def _in_word(value: object) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _choice(
    step: Step,
    entry: Registered[Stage[Any]],
    options: Options,
    values: Mapping[str, Any],
    traits: Traits | None,
) -> Step:
    """The step that the choice would be. Its name is the stage's, with the options that are
    given."""
    words = [entry.name, *(f"{key}={_in_word(value)}" for key, value in flat(values).items())]
    return replace(
        step,
        name=" ".join(words),
        entry=entry,
        options=options,
        references={},
        traits=entry.cls.produces(traits or Traits(), options, step.task.name),
        unlabelled={},
        choices={},
    )
