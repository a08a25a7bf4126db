"""Making a plan of a recipe: every word resolved and every edge of the graph checked; all mistakes
are found in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from compress.planning.backoff import steps_with_limits
from compress.planning.budget import Budget
from compress.planning.graph import Graph
from compress.planning.reference import read_reference
from compress.planning.resolver import Resolver
from compress.planning.sections.benchmark import read_effort
from compress.planning.sections.budget import read_budget
from compress.planning.sections.data import read_data
from compress.planning.sections.model import read_model
from compress.planning.sections.resources import check_used, read_processes
from compress.planning.sections.task import read_task
from compress.planning.steps.step import Defaults, read_seed, read_step
from compress.planning.types import MODEL, Plan, TaskChoice
from compress.pretrained.families import Families
from compress.recipes.recipe import Recipe, read_recipe
from compress.recipes.shipped import find_recipe
from compress.registry.plugins import Registry


def load_plan(
    recipe: str,
    overrides: Sequence[str],
    registry: Registry,
    families: Families,
    machines: int = 1,
) -> Plan:
    """The plan of a recipe file or shipped recipe with ``a.b=c`` overrides, for ``machines`` like
    this one. Raises UsageError."""
    return make_plan(read_recipe(find_recipe(recipe), overrides), registry, families, machines)


def make_plan(recipe: Recipe, registry: Registry, families: Families, machines: int = 1) -> Plan:
    """The plan of a recipe. ``families`` know the keys of a fresh model's config, and the number of
    layers where a config does not state it. ``machines`` like this one share the steps that have
    several processes.

    Raises UsageError with every mistake that can be found without touching a model."""
    brought = families.with_brought(entry.cls for entry in registry.architectures.values())
    resolver = Resolver(recipe, registry, brought, recipe.mistakes.copy(), machines)
    plan = _build(resolver)
    resolver.mistakes.in_order().raise_all()
    assert plan is not None  # without a mistake, every part was resolved
    return plan


def _build(resolver: Resolver) -> Plan | None:
    """The plan, with mistakes added; None where it has no task."""
    recipe, top = resolver.recipe, resolver.recipe.top
    defaults = _defaults(resolver)
    graph = _read_graph(defaults, resolver)
    if not graph.broken:
        check_used(defaults.processes, graph.steps.values(), resolver)
    reference = read_reference(top, graph, defaults.task, resolver)
    budget = _budget(defaults.task, graph, resolver)
    steps = graph.steps
    if budget is not None and defaults.task is not None:
        steps = steps_with_limits(budget, steps, defaults.task.name, resolver)
    effort = read_effort(top["benchmark"], resolver) if "benchmark" in top else "standard"
    if defaults.task is None:
        return None
    return Plan(
        name=recipe.name,
        recipe_text=recipe.text,
        overrides=recipe.overrides,
        task=defaults.task,
        data=defaults.data,
        inputs=list(graph.inputs.values()),
        fresh=graph.fresh,
        model_place=str(recipe.place("model", of_value=True)),
        steps=list(steps.values()),
        reference=reference,
        seed=defaults.seed,
        budget=budget,
        effort=effort,
    )


def _read_graph(defaults: Defaults, resolver: Resolver) -> Graph:
    """The model and the steps. A step starts from the one before it, the first from the model."""
    graph = Graph()
    read_model(resolver.recipe.top.get("model"), graph, resolver)
    previous = MODEL if graph.knows(MODEL) else None
    for text in resolver.recipe.steps:
        read_step(text, previous, defaults, graph, resolver)
        previous = text.name
    return graph


def _defaults(resolver: Resolver) -> Defaults:
    """The recipe's own task, data, seed and processes."""
    top = resolver.recipe.top
    task = None
    if "task" in top:
        task = read_task(top["task"], ("task",), resolver)
    else:
        resolver.wrong((), "the recipe has no task", "task: text-classification")
    data = read_data(top["data"], ("data",), task, resolver) if "data" in top else None
    seed = read_seed(top.get("seed", 0), ("seed",), resolver)
    path = ("resources",)
    processes = read_processes(top["resources"], path, resolver) if "resources" in top else 1
    return Defaults(task, data, seed, processes)


def _budget(task: TaskChoice | None, graph: Graph, resolver: Resolver) -> Budget | None:
    top = resolver.recipe.top
    if "budget" not in top:
        return None
    name = task.name if task else None
    return read_budget(top["budget"], ("budget",), graph.tasks(), name, resolver)
