"""What a plan is made of: frozen data that a run walks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compress.artifact import Traits
from compress.meter import Effort
from compress.options import Options
from compress.planning.budget import Budget
from compress.recipes.places import Section
from compress.registry.plugins import Registered
from compress.source import Source, SourceOptions
from compress.stage import Stage
from compress.task import Task, TaskOptions

MODEL = "model"
"""Name of the recipe's input model where a step or ``reference:`` refers to it."""


@dataclass(frozen=True)
class TaskChoice:
    """A task with its validated options."""

    entry: Registered[Task[Any]]
    options: TaskOptions

    @property
    def name(self) -> str:
        """The task's own name; the recipe may use a synonym."""
        return self.entry.name

    def make(self) -> Task[Any]:
        """The task object."""
        return self.entry.cls(self.options)

    def as_dict(self) -> dict[str, Any]:
        """Name and options, JSON-ready."""
        return {"name": self.entry.name, "options": self.options.model_dump(mode="json")}


@dataclass(frozen=True)
class DataChoice:
    """A source with its validated options; paths in them are absolute. ``place`` is where the
    recipe names it, for messages. ``seed`` draws the rows that are used, where the options limit
    them; else it is 0, for it changes nothing."""

    entry: Registered[Source[Any]]
    options: SourceOptions
    place: str = field(default="", compare=False)
    seed: int = 0

    def make(self) -> Source[Any]:
        """The source object."""
        return self.entry.cls(self.options)

    def as_dict(self) -> dict[str, Any]:
        """Name, options and seed, JSON-ready."""
        options = self.options.model_dump(mode="json")
        return {"name": self.entry.name, "options": options, "seed": self.seed}


@dataclass(frozen=True)
class Input:
    """A model from outside: the input model or a teacher. ``traits`` is None for a hub model: its
    head is not known before it is downloaded. ``tasks`` are those of the recipe: the first that has
    such a head is the one that it serves."""

    name: str
    source: str
    from_hub: bool
    traits: Traits | None
    place: str
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A stage with its options at its place in the recipe.

    ``parent`` names the step or input that it starts from; None for a fresh model. ``references``
    maps each option that refers to an artifact to the name of that step or input. ``processes``
    do it together: 1 for a stage that does not share its work. ``unlabelled`` maps each option that
    describes rows without targets to their source. ``choices`` are the steps that its stage may
    have made of the same input, by what they are called."""

    name: str
    entry: Registered[Stage[Any]]
    options: Options
    task: TaskChoice
    data: DataChoice | None
    seed: int
    parent: str | None
    references: Mapping[str, str]
    traits: Traits
    place: str
    budget: Budget | None = None
    processes: int = 1
    unlabelled: Mapping[str, DataChoice] = field(default_factory=dict)
    choices: Mapping[str, Step] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A recipe resolved: its steps in order and everything that they need.

    ``recipe_text`` and ``overrides`` are the recipe as the user gave it. ``fresh`` is the
    configuration of a model that does not exist yet, and ``model_place`` where the recipe has it.
    ``reference`` is None while it depends on a hub model that is not downloaded yet."""

    name: str
    recipe_text: str
    overrides: tuple[str, ...]
    task: TaskChoice
    data: DataChoice | None
    inputs: Sequence[Input]
    fresh: Section | None
    model_place: str
    steps: Sequence[Step]
    reference: str | None
    seed: int
    budget: Budget | None
    effort: Effort

    def different_data(self) -> Iterator[tuple[str, DataChoice, TaskChoice]]:
        """(name, data, task) of the recipe's data, and of those that a step has of its own."""
        seen = []
        if self.data is not None:
            seen.append(self.data)
            yield "data", self.data, self.task
        for step in self.steps:
            if step.data is not None and step.data not in seen:
                seen.append(step.data)
                yield f"data of {step.name}", step.data, step.task

    def step(self, name: str) -> Step | None:
        """The step of that name."""
        return next((s for s in self.steps if s.name == name), None)

    def input(self, name: str) -> Input | None:
        """The input of that name."""
        return next((i for i in self.inputs if i.name == name), None)
