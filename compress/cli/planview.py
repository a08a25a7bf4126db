"""A plan for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.artifact import Artifact
from compress.keys import data_ingredients, step_ingredients
from compress.planning import Plan, Step
from compress.plugins import Registry
from compress.runner import conversion_steps
from compress.store import Store, product_key


def describe_plan(plan: Plan, registry: Registry, store: Store) -> dict[str, Any]:
    """The plan as JSON-ready values; ``state`` of a step is ``there``, ``to do``, or ``after its input``."""
    digests: dict[str, str | None] = {model.name: None for model in plan.inputs}
    steps = []
    for step in plan.steps:
        state, digests[step.name] = _state(step, plan, store, digests)
        steps.append({"name": step.name, "stage": step.entry.name, "plugin": step.entry.origin, "from": step.parent,
                      "references": dict(step.references), "task": step.task.as_dict(), "traits": asdict(step.traits),
                      "options": step.options.model_dump(mode="json"), "seed": step.seed, "state": state})
    engines = [step.name for step in conversion_steps(plan, registry)]
    return {"name": plan.name, "task": plan.task.as_dict(), "model": plan.fresh or [m.source for m in plan.inputs],
            "data": plan.data.as_dict() if plan.data else None, "reference": plan.reference, "also_measured": engines,
            "steps": steps}


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
    """Print the plan as a table."""
    reference = described["reference"] or "not known yet"
    console.print(Text(f"{described['name']}: {described['task']['name']}, reference {reference}"))
    table = Table("step", "stage", "from", "makes", "options", "state")
    for step in described["steps"]:
        traits = step["traits"]
        makes = f"{traits['format']} {traits['precision']}" + ("" if traits["shape"] == "stock" else f", {traits['shape']}")
        options = ", ".join(f"{k}: {v}" for k, v in step["options"].items() if v is not None)
        table.add_row(*map(Text, (step["name"], step["stage"], step["from"] or "fresh", makes, options, step["state"])))
    console.print(table)
    for name in described["also_measured"]:
        console.print(Text(f"also measured: {name}"))
