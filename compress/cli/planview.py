"""A plan for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from compress.artifact import Artifact
from compress.budget import Budget
from compress.cli.catalogue import print_rows, recipe_text
from compress.keys import data_ingredients, step_ingredients
from compress.planning import Plan, Step
from compress.planning.reference import conversion_steps
from compress.plugins import Registry
from compress.store import Store, product_key


def describe_plan(plan: Plan, registry: Registry, store: Store) -> dict[str, Any]:
    """The plan as JSON-ready values; ``state`` of a step is ``there``, ``to do``, or ``after its input``."""
    digests: dict[str, str | None] = {model.name: None for model in plan.inputs}
    steps = []
    for step in plan.steps:
        state, digests[step.name] = _state(step, plan, store, digests)
        steps.append({"name": step.name, "stage": step.entry.name, "plugin": step.entry.origin, "from": step.parent,
                      "references": dict(step.references), "task": step.task.as_dict(), "traits": asdict(step.traits),
                      "options": step.options.model_dump(mode="json"), "seed": step.seed, "state": state,
                      "budget": _budget(step.budget),
                      "given": step.options.model_dump(mode="json", exclude_unset=True)})
    engines = [step.name for step in conversion_steps(plan, registry)]
    return {"name": plan.name, "task": plan.task.as_dict(), "model": plan.fresh or [m.source for m in plan.inputs],
            "data": plan.data.as_dict() if plan.data else None, "reference": plan.reference, "also_measured": engines,
            "budget": _budget(plan.budget), "steps": steps}


def _budget(budget: Budget | None) -> dict[str, Any] | None:
    """A budget's limits by quantity, as the recipe writes them, and what follows from a miss."""
    if budget is None:
        return None
    tries = budget.tries if budget.on_miss == "back_off" else None
    return {"limits": {limit.quantity: limit.text for limit in budget.limits}, "on_miss": budget.on_miss, "tries": tries,
            "decide": budget.decide, "of_recipe": budget.of_recipe}


def _state(step: Step, plan: Plan, store: Store, digests: Mapping[str, str | None]) -> tuple[str, str | None]:
    needed = [n for n in (step.parent, *step.references.values()) if n is not None]
    if any(digests.get(name) is None for name in needed):
        return "after its input", None
    data = None
    if step.data is not None:
        found = store.find("data", product_key(data_ingredients(step.data, step.task)))
        if found is None:
            return "to do", None
        data = found.digest
    ingredients = step_ingredients(step, digests[step.parent] if step.parent else None,
                                   {o: digests[n] or "" for o, n in step.references.items()}, data, plan.fresh)
    product = store.find("artifact", product_key(ingredients))
    return ("there", Artifact.open(product.folder).digest) if product else ("to do", None)


def print_plan(described: Mapping[str, Any], console: Console) -> None:
    """Print the plan as a table; of the options those that the recipe gives."""
    task = described["task"]["name"]
    data = described["data"]["name"] if described["data"] else "given by the steps"
    model = described["model"]
    shown = ", ".join(model) if isinstance(model, list) else recipe_text(model)
    lines = [f"{described['name']}: {task}", f"model: {shown}", f"data: {data}",
             f"reference: {described['reference'] or 'not known before the model is here'}"]
    if described["also_measured"]:
        lines.append(f"also measured: {', '.join(described['also_measured'])}")
    for line in [*lines, *_budget_lines(described)]:
        console.print(Text(line), highlight=False)
    print_rows([_row(step, task) for step in described["steps"]], console)


def _budget_lines(described: Mapping[str, Any]) -> list[str]:
    """One line for the recipe's budget and for each step that is held to one."""
    held = [("budget", described["budget"]), *((f"budget of {s['name']}", s["budget"]) for s in described["steps"])]
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
    return {"step": name, "from": step["from"] or "fresh model", "makes": ", ".join(makes), "options given": options,
            "state": step["state"]}
