"""Which steps of a plan the store has already. Nothing is made, and nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compress.artifact import Artifact
from compress.errors import EnvironmentFailure, UsageError
from compress.planning import DataChoice, Input, Plan, Step, TaskChoice
from compress.registry.plugins import Registry
from compress.store.keys import (
    Given,
    data_ingredients,
    import_ingredients,
    step_ingredients,
    unlabelled_ingredients,
)
from compress.store.prepared import Prepared
from compress.store.store import Ingredients, Product, Store, key_of
from compress.store.summary import DataSummary


@dataclass(frozen=True)
class StepState:
    """Whether the store has a step; ``why`` says why that is not known."""

    state: Literal["there", "to do", "after its input", "not known"]
    why: str | None = None


@dataclass(frozen=True)
class PlanState:
    """What the store has of a plan: the state of each step by its name, and what was counted when
    data were prepared, by the name of the data."""

    steps: Mapping[str, StepState]
    data: Mapping[str, DataSummary]


def find_state(plan: Plan, registry: Registry, store: Store) -> PlanState:
    """What the store has of a plan.

    Where the store has no product of a kind, no model's files are read and no source is asked.
    Raises UsageError for data that do not exist."""
    finder = _Finder(plan, registry, store)
    return PlanState({step.name: finder.find(step) for step in plan.steps}, finder.summaries())


class _Finder:
    """Looks for the steps of a plan in the store. They must be looked for in order: a step's key is
    made of the digests of what comes before it."""

    def __init__(self, plan: Plan, registry: Registry, store: Store) -> None:
        self._plan, self._registry, self._store = plan, registry, store
        self._artifacts = {model.name: self._import(model) for model in plan.inputs}
        self._data: dict[str, Product | EnvironmentFailure | None] = {}

    def find(self, step: Step) -> StepState:
        """The state of the next step."""
        self._artifacts[step.name] = None
        needed = [step.parent, *step.references.values()]
        if any(name is not None and self._artifacts[name] is None for name in needed):
            return StepState("after its input")
        if step.entry.cls.reads_earlier:
            return StepState("not known", "it depends on what is measured of the steps before it")
        data = None
        if step.data is not None:
            try:
                data = self._prepared(step.data, step.task)
            except EnvironmentFailure as error:  # the hub alone knows what a branch's data are now
                return StepState("not known", str(error))
            if data is None:
                return StepState("to do")
        try:
            unlabelled = self._unlabelled(step)
        except EnvironmentFailure as error:
            return StepState("not known", str(error))
        if unlabelled is None:
            return StepState("to do")
        artifact = self._made(step, _opened(data) if data else None, unlabelled)
        self._artifacts[step.name] = artifact
        return StepState("there" if artifact else "to do")

    def _unlabelled(self, step: Step) -> dict[str, Prepared] | None:
        """A step's rows without targets; None where some are not prepared yet."""
        found = {}
        for option, choice in step.unlabelled.items():
            product = self._prepared(choice, step.task, targets=False)
            if product is None:
                return None
            found[option] = _opened(product)
        return found

    def _made(
        self, step: Step, data: Prepared | None, unlabelled: Mapping[str, Prepared]
    ) -> Artifact | None:
        parent = self._artifacts[step.parent] if step.parent else None
        references = {}
        for option, name in step.references.items():
            artifact = self._artifacts[name]
            assert artifact is not None  # ``find`` asks for no step whose input is not there
            references[option] = artifact
        given = Given(parent, self._plan.fresh, references, data, unlabelled)
        return self._artifact(step_ingredients(step, given, self._registry))

    def _import(self, model: Input) -> Artifact | None:
        if model.from_hub or not self._store.holds("artifact"):
            return None
        return self._artifact(import_ingredients(model, Path(model.source), self._registry))

    def _artifact(self, ingredients: Ingredients) -> Artifact | None:
        """The artifact that these ingredients make."""
        product = self._store.find(ingredients)
        return Artifact.open(product.folder) if product else None

    def summaries(self) -> dict[str, DataSummary]:
        """The summary of each of the plan's data that are prepared."""
        found = {}
        for name, data, task in self._plan.different_data():
            with suppress(EnvironmentFailure):
                product = self._prepared(data, task)
                if product:
                    found[name] = Prepared(product.folder, product.digest).summary
        return found

    def _prepared(self, data: DataChoice, task: TaskChoice, targets: bool = True) -> Product | None:
        """The data that are prepared for a task."""
        key = key_of({"data": data.as_dict(), "task": task.as_dict(), "targets": targets})
        if key not in self._data:
            try:
                self._data[key] = self._find_prepared(data, task, targets)
            except UsageError as error:
                raise error.placed(data.place) from error
            except EnvironmentFailure as error:  # kept, because the hub can take long to fail
                self._data[key] = error
        found = self._data[key]
        if isinstance(found, EnvironmentFailure):
            raise found
        return found

    def _find_prepared(self, data: DataChoice, task: TaskChoice, targets: bool) -> Product | None:
        if not self._store.holds("data"):
            return None
        ingredients_of = data_ingredients if targets else unlabelled_ingredients
        return self._store.find(ingredients_of(data, task))


def _opened(data: Product) -> Prepared:
    return Prepared(data.folder, data.digest)
