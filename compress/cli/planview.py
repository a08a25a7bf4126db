"""A plan for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from compress.cli.catalogue import recipe_text
from compress.cli.planstate import PlanState, StepState, find_state
from compress.cli.rows import print_rows
from compress.planning import Input, Plan, Step
from compress.planning.budget import Budget
from compress.planning.conversions import conversion_steps
from compress.planning.measuring import measuring_text
from compress.registry.plugins import Registry
from compress.report.datatext import split_lines
from compress.report.views.plain import plain
from compress.results.datawarnings import data_warnings
from compress.store.store import Store
from compress.store.summary import DataSummary


@dataclass(frozen=True)
class PlanView:
    """A plan with what the store has of it, the engines in which its reference is measured too, and
    what measuring will take."""

    plan: Plan
    state: PlanState
    also_measured: list[str]
    measuring: str


def view_plan(plan: Plan, registry: Registry, store: Store) -> PlanView:
    """The plan with the state of each step in the store."""
    engines = [step.name for step in conversion_steps(plan, registry)]
    models = [model.name for model in plan.inputs if _is_measured(model, plan)]
    count = len(models) + len(plan.steps) + len(engines)
    measuring = measuring_text(registry, plan.effort, count, plan.task.entry.cls)
    return PlanView(plan, find_state(plan, registry, store), engines, measuring)


def _is_measured(model: Input, plan: Plan) -> bool:
    """Whether a model from outside is measured, as far as the plan knows its task."""
    return model.traits is not None and model.traits.task == plan.task.name


def plan_json(view: PlanView) -> dict[str, Any]:
    """The plan as JSON-ready values, as ``compress plan --json`` prints it."""
    plan = view.plan
    return {
        "name": plan.name,
        "task": plan.task.as_dict(),
        "model": plan.fresh or [model.source for model in plan.inputs],
        "data": plan.data.as_dict() if plan.data else None,
        "data_summaries": {
            name: summary.model_dump(mode="json") for name, summary in view.state.data.items()
        },
        "reference": plan.reference,
        "also_measured": view.also_measured,
        "measuring": view.measuring,
        "budget": _budget_json(plan.budget),
        "steps": [_step_json(step, view.state.steps[step.name]) for step in plan.steps],
    }


def _step_json(step: Step, state: StepState) -> dict[str, Any]:
    return {
        "name": step.name,
        "stage": step.entry.name,
        "plugin": step.entry.origin,
        "from": step.parent,
        "references": dict(step.references),
        "task": step.task.as_dict(),
        "traits": asdict(step.traits),
        "options": step.options.model_dump(mode="json"),
        "seed": step.seed,
        "processes": step.processes,
        "state": state.state,
        "why": state.why,
        "budget": _budget_json(step.budget),
        "given": _given_options(step),
    }


def _given_options(step: Step) -> dict[str, Any]:
    """The options that the recipe gives, without the defaults."""
    return step.options.model_dump(mode="json", exclude_unset=True)


def _budget_json(budget: Budget | None) -> dict[str, Any] | None:
    if budget is None:
        return None
    return {
        "limits": {limit.quantity: limit.text for limit in budget.limits},
        "on_miss": budget.on_miss,
        "tries": budget.tries if budget.on_miss == "back_off" else None,
        "decide": budget.decide,
        "of_recipe": budget.of_recipe,
    }


def print_plan(view: PlanView, console: Console) -> None:
    """Print the plan as a table, with the options that the recipe gives."""
    for line in [*_head_lines(view), *_budget_lines(view.plan)]:
        console.print(plain(line), highlight=False)
    rows = [_row(step, view) for step in view.plan.steps]
    print_rows(rows, console)
    reasons = [state.why for state in view.state.steps.values() if state.why]
    for why in dict.fromkeys(reasons):
        console.print(plain(f"not known: {why}"), highlight=False, soft_wrap=True)


def _head_lines(view: PlanView) -> list[str]:
    plan = view.plan
    if plan.fresh:
        model = recipe_text(plan.fresh)
    else:
        model = ", ".join(source.source for source in plan.inputs)
    lines = [
        f"{plan.name}: {plan.task.name}",
        f"model: {model}",
        f"data: {plan.data.entry.name if plan.data else 'given by the steps'}",
        *_data_lines(view.state.data),
        f"reference: {plan.reference or 'not known before the model is here'}",
    ]
    if view.also_measured:
        lines.append(f"also measured: {', '.join(view.also_measured)}")
    return [*lines, f"measuring: {view.measuring}"]


def _data_lines(summaries: Mapping[str, DataSummary]) -> Iterator[str]:
    """What was counted in the data that are prepared, as a run shows it."""
    for name, summary in summaries.items():
        warnings = [f"warning: {text}" for text in data_warnings(summary)]
        for line in [*split_lines(summary), *warnings]:
            yield f"  {name}: {line}"


def _budget_lines(plan: Plan) -> list[str]:
    """One line for the recipe's budget and for each step that has one."""
    lines = [f"budget: {_budget_text(plan.budget)}"] if plan.budget else []
    for step in plan.steps:
        if step.budget:
            lines.append(f"budget of {step.name}: {_budget_text(step.budget)}")
    return lines


def _budget_text(budget: Budget) -> str:
    limits = ", ".join(f"{limit.quantity} {limit.text}" for limit in budget.limits)
    tries = f" (up to {budget.tries} more tries)" if budget.on_miss == "back_off" else ""
    origin = "; from the recipe's" if budget.of_recipe else ""
    return f"{limits}; on_miss: {budget.on_miss}{tries}; decide: {budget.decide}{origin}"


def _row(step: Step, view: PlanView) -> dict[str, str]:
    """The cells of a step. Its stage, shape and task are shown where a reader would not expect
    them."""
    traits = step.traits
    makes = [f"{traits.format} {traits.precision}"]
    if traits.shape != "stock":
        makes.append(f"{traits.shape} shape")
    if step.task.name != view.plan.task.name:
        makes.append(step.task.name)
    if step.processes > 1:
        makes.append(f"{step.processes} processes")
    stage = step.entry.name
    given = [f"{key}: {recipe_text(value)}" for key, value in _given_options(step).items()]
    return {
        "step": stage if step.name == stage else f"{step.name} ({stage})",
        "from": step.parent or "fresh model",
        "makes": ", ".join(makes),
        "options given": ", ".join(given),
        "state": view.state.steps[step.name].state,
    }
