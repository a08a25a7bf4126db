"""The names of steps, and the artifacts that a step refers to by name: its parent and its
references."""

from __future__ import annotations

from compress.errors import did_you_mean, suggestion
from compress.options import NamedArtifact, Options, artifacts_named
from compress.planning.budget import BASELINES
from compress.planning.graph import Graph
from compress.planning.resolver import Resolver
from compress.planning.sections.outside import is_folder, read_outside_model
from compress.planning.sections.task import tasks_of_recipe
from compress.planning.types import MODEL
from compress.recipes.places import KeyPath
from compress.recipes.steps import StepText

_LATER = "it stands after this step; name one that stands before it"


def check_name(text: StepText, resolver: Resolver) -> None:
    """Add a mistake where a step's name cannot be used, or an earlier step has it."""
    path, name = _name_path(text), text.name
    given = text.keys.get("name", "")
    if not isinstance(given, str):
        resolver.wrong(path, f"name must be text, got {given!r}")
    if not name.isprintable():
        message = f"a step cannot be named {name!r}"
        resolver.wrong(path, message, "its characters must be visible")
    elif name in ("", MODEL, *BASELINES) or "@" in name or "/" in name:
        message = f"a step cannot be named {name!r}"
        hint = "'model' is the input, B0 and B1 are the reference in budgets; no @ or /"
        resolver.wrong(path, message, hint)
    steps = resolver.recipe.steps
    if any(earlier.name == name for earlier in steps[: steps.index(text)]):
        message, hint = f"two steps are named {name!r}", "give one of them a name:"
        resolver.wrong(path, message, hint, of_value=False)


def _name_path(text: StepText) -> KeyPath:
    return (*text.path, "name") if "name" in text.keys else text.stage_path


def find_parent(
    text: StepText, previous: str | None, graph: Graph, resolver: Resolver
) -> str | None:
    """The name of the model or step that a step starts from: the value of ``from``, else the step
    before. None for a fresh model."""
    if "from" not in text.keys:
        return previous
    path = (*text.path, "from")
    if text.keys["from"] is None:
        resolver.wrong(path, "from: names no step", "name an earlier one, or leave it out")
        return previous
    name = str(text.keys["from"])
    if name == MODEL and graph.fresh is not None:
        return None
    if not graph.knows(name):
        hint = _LATER if _is_a_step(name, resolver) else suggestion(name, graph.names)
        resolver.wrong(path, f"from: there is no earlier step {name!r}", hint)
        graph.missing.add(name)
    return name


def find_references(
    text: StepText, options: Options, graph: Graph, resolver: Resolver
) -> dict[str, str]:
    """The name of the artifact that each option refers to, by option. A model from outside becomes
    an input of the graph."""
    references: dict[str, str] = {}
    for named in artifacts_named(options):
        references[named.option] = named.name
        if not graph.knows(named.name):
            _add_outside_reference(text, named, graph, resolver)
    return references


def _add_outside_reference(
    text: StepText, named: NamedArtifact, graph: Graph, resolver: Resolver
) -> None:
    option, name, path = named.option, named.name, (*text.stage_path, *named.path)
    hint = "" if is_folder(name, path, resolver) else _hint_for_misnamed(name, graph, resolver)
    model = None
    if hint:
        resolver.wrong(path, f"{option}: there is no earlier step {name!r}", hint)
    else:
        model = read_outside_model(name, name, path, tasks_of_recipe(resolver, text), resolver)
    if model is not None:
        graph.inputs[name] = model
    else:
        graph.missing.add(name)


def _hint_for_misnamed(name: str, graph: Graph, resolver: Resolver) -> str:
    """The hint for a word that names a later step, or nearly an earlier one; empty for any
    other."""
    if _is_a_step(name, resolver):
        return _LATER
    return "" if "/" in name else did_you_mean(name, {*graph.steps, *graph.broken} - {MODEL})


def _is_a_step(name: str, resolver: Resolver) -> bool:
    return any(step.name == name for step in resolver.recipe.steps)
