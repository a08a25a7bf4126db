"""The models and steps of a plan while it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compress.architecture import KnownSizes
from compress.artifact import Traits
from compress.planning.edges import UNKNOWN_TASK, edge_mistake
from compress.planning.types import Input, Step
from compress.recipes.places import Section
from compress.stage import Stage


@dataclass
class Graph:
    """The models from outside and the steps that have been read so far.

    ``broken`` holds the names of models and steps with a mistake, and ``missing`` those that a step
    uses and nothing has. No further mistake is reported because a step uses one of them.
    ``fresh`` is the configuration of a model that does not exist yet. ``sizes`` holds the sizes
    of each step's model, and ``model_types`` its model type, None where they are not known."""

    inputs: dict[str, Input] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    fresh: Section | None = None
    sizes: dict[str, KnownSizes | None] = field(default_factory=dict)
    model_types: dict[str, str | None] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of all models and steps, models first; broken ones count."""
        return list(dict.fromkeys([*self.inputs, *self.steps, *sorted(self.broken)]))

    def knows(self, name: str) -> bool:
        """Whether a model or step of that name comes before; broken ones count."""
        return name in self.steps or name in self.inputs or name in self.broken

    def has_mistake(self, name: str | None) -> bool:
        """Whether a model or step has a mistake, or is named and not there."""
        return name in self.broken or name in self.missing

    def traits_of(self, name: str | None) -> Traits | None:
        """The traits of a model or step; None for a fresh model."""
        if name in self.steps:
            return self.steps[name].traits
        if name in self.inputs:
            # A hub model's head is unknown yet: the run checks the edge again once it is here.
            return self.inputs[name].traits or Traits(task=UNKNOWN_TASK)
        return None

    def tasks(self) -> dict[str, str | None]:
        """The task of each model and step; None where it is not known."""
        tasks: dict[str, str | None] = dict.fromkeys(self.broken)
        for name, model in self.inputs.items():
            tasks[name] = model.traits.task if model.traits else None
        for name, step in self.steps.items():
            tasks[name] = step.task.name
        return tasks

    def serving(self, stage: type[Stage[Any]], task: str) -> list[str]:
        """The names of the artifacts that ``stage`` could start from."""
        return [
            name
            for name in self.names
            if name not in self.broken
            and edge_mistake(stage, self.traits_of(name), name, task, []) is None
        ]
