"""A plan for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from compress.artifact import Artifact
from compress.cli.catalogue import print_rows, recipe_text
from compress.errors import EnvironmentFailure, UsageError
from compress.planning import DataChoice, Input, Plan, Step, TaskChoice
from compress.planning.budget import Budget
from compress.planning.reference import conversion_steps
from compress.registry.plugins import Registry
from compress.report.views.plain import plain
from compress.store.keys import data_ingredients, import_ingredients, step_ingredients
from compress.store.store import Ingredients, Store


def describe_plan(plan: Plan, registry: Registry, store: Store) -> dict[str, Any]:
    """The plan as JSON-ready values; ``state`` of a step is ``there``, ``to do``, ``after its
    input``, or ``not known`` with the reason in ``why``."""
    found = _Found(plan, registry, store)
    steps = []
    for step in plan.steps:
        state, why = found.state(step)
        steps.append(
            {
                "name": step.name,
                "stage": step.entry.name,
                "plugin": step.entry.origin,
                "from": step.parent,
                "references": dict(step.references),
                "task": step.task.as_dict(),
                "traits": asdict(step.traits),
                "options": step.options.model_dump(mode="json"),
                "seed": step.seed,
                "state": state,
                "why": why,
                "budget": _budget(step.budget),
                "given": step.options.model_dump(mode="json", exclude_unset=True),
            }
        )
    engines = [step.name for step in conversion_steps(plan, registry)]
    return {
        "name": plan.name,
        "task": plan.task.as_dict(),
        "model": plan.fresh or [m.source for m in plan.inputs],
        "data": plan.data.as_dict() if plan.data else None,
        "reference": plan.reference,
        "also_measured": engines,
        "budget": _budget(plan.budget),
        "steps": steps,
    }


class _Found:
    """What the store has of a plan. Where it has nothing, no model's files are read and no source
    is asked."""

    def __init__(self, plan: Plan, registry: Registry, store: Store) -> None:
        self._plan, self._registry, self._store = plan, registry, store
        self._digests = {model.name: self._imported(model) for model in plan.inputs}
        self._data: dict[str, str | None] = {}

    def state(self, step: Step) -> tuple[str, str | None]:
        """(state, why it is not known) of the next step."""
        self._digests[step.name] = None
        needed = [n for n in (step.parent, *step.references.values()) if n is not None]
        if any(self._digests[name] is None for name in needed):
            return "after its input", None
        try:
            data = self._prepared(step.data, step.task) if step.data else None
        except EnvironmentFailure as error:  # the hub alone knows what a branch's data are now
            return "not known", str(error)
        if step.data and data is None:
            return "to do", None
        parent = self._digests[step.parent] if step.parent else None
        references = {option: self._digests[name] or "" for option, name in step.references.items()}
        ingredients = step_ingredients(
            step, parent, references, data, self._plan.fresh, self._registry
        )
        self._digests[step.name] = self._digest(ingredients)
        return "there" if self._digests[step.name] else "to do", None

    def _imported(self, model: Input) -> str | None:
        if model.from_hub or not self._store.holds("artifact"):
            return None
        return self._digest(import_ingredients(model, Path(model.source), self._registry))

    def _prepared(self, data: DataChoice, task: TaskChoice) -> str | None:
        key = str((data.as_dict(), task.as_dict()))
        if key not in self._data:
            try:
                self._data[key] = self._found(data, task)
            except UsageError as error:
                raise error.placed(data.place) from error
        return self._data[key]

    def _found(self, data: DataChoice, task: TaskChoice) -> str | None:
        product = (
            self._store.find(data_ingredients(data, task)) if self._store.holds("data") else None
        )
        return product.digest if product else None

    def _digest(self, ingredients: Ingredients) -> str | None:
        product = self._store.find(ingredients)
        return Artifact.open(product.folder).digest if product else None


def _budget(budget: Budget | None) -> dict[str, Any] | None:
    """A budget's limits by quantity, as the recipe writes them, and what follows from a miss."""
    if budget is None:
        return None
    tries = budget.tries if budget.on_miss == "back_off" else None
    return {
        "limits": {limit.quantity: limit.text for limit in budget.limits},
        "on_miss": budget.on_miss,
        "tries": tries,
        "decide": budget.decide,
        "of_recipe": budget.of_recipe,
    }


def print_plan(described: Mapping[str, Any], console: Console) -> None:
    """Print the plan as a table; of the options those that the recipe gives."""
    task = described["task"]["name"]
    data = described["data"]["name"] if described["data"] else "given by the steps"
    model = described["model"]
    shown = ", ".join(model) if isinstance(model, list) else recipe_text(model)
    lines = [
        f"{described['name']}: {task}",
        f"model: {shown}",
        f"data: {data}",
        f"reference: {described['reference'] or 'not known before the model is here'}",
    ]
    if described["also_measured"]:
        lines.append(f"also measured: {', '.join(described['also_measured'])}")
    for line in [*lines, *_budget_lines(described)]:
        console.print(plain(line), highlight=False)
    print_rows([_row(step, task) for step in described["steps"]], console)
    for why in dict.fromkeys(step["why"] for step in described["steps"] if step["why"]):
        console.print(plain(f"not known: {why}"), highlight=False, soft_wrap=True)


def _budget_lines(described: Mapping[str, Any]) -> list[str]:
    """One line for the recipe's budget and for each step that is held to one."""
    held = [
        ("budget", described["budget"]),
        *((f"budget of {s['name']}", s["budget"]) for s in described["steps"]),
    ]
    return [f"{label}: {_budget_text(budget)}" for label, budget in held if budget]


def _budget_text(budget: Mapping[str, Any]) -> str:
    limits = ", ".join(f"{quantity} {text}" for quantity, text in budget["limits"].items())
    tries = f" (up to {budget['tries']} more tries)" if budget["tries"] else ""
    origin = "; from the recipe's" if budget["of_recipe"] else ""
    return f"{limits}; on_miss: {budget['on_miss']}{tries}; decide: {budget['decide']}{origin}"


def _row(step: Mapping[str, Any], task: str) -> dict[str, str]:
    """A step's cells. Its stage, task and shape are told where they are not what one expects."""
    traits = step["traits"]
    makes = [f"{traits['format']} {traits['precision']}"]
    if traits["shape"] != "stock":
        makes.append(f"{traits['shape']} shape")
    if step["task"]["name"] != task:
        makes.append(step["task"]["name"])
    name = step["name"] if step["name"] == step["stage"] else f"{step['name']} ({step['stage']})"
    options = ", ".join(f"{key}: {recipe_text(value)}" for key, value in step["given"].items())
    return {
        "step": name,
        "from": step["from"] or "fresh model",
        "makes": ", ".join(makes),
        "options given": options,
        "state": step["state"],
    }
