"""Whether a step fits what it is given: its input, its references, its data and its sizes."""

from __future__ import annotations

from compress.architecture import KnownSizes, starts_from_teachers
from compress.errors import UsageError
from compress.options import (
    FreshMark,
    FreshModel,
    NeededByFreshMark,
    artifacts_named,
    fields_marked,
    fresh_models,
    splits_asked,
)
from compress.planning.edges import edge_mistake
from compress.planning.graph import Graph
from compress.planning.resolver import Resolver
from compress.planning.sections.data import splits_of
from compress.planning.sections.model import check_fresh
from compress.planning.steps.sizes import known_sizes, model_type_of_input, sizes_of_input
from compress.planning.types import Step
from compress.recipes.places import KeyPath, Section
from compress.recipes.steps import StepText
from compress.sizes import layout_of
from compress.stage import OptionMistake


def add_mistake(mistake: OptionMistake, text: StepText, resolver: Resolver) -> None:
    """Add a mistake that a stage found in its options, at their place in the recipe."""
    path = (*text.stage_path, *mistake.path)
    resolver.wrong(path, mistake.message, mistake.hint, of_value=not mistake.of_key)


def check_fit(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> None:
    """Add a mistake for each thing that the step is given and cannot work with."""
    _check_input(step, text, graph, resolver)
    _check_task(step, text, resolver)
    _check_data(step, text, resolver)
    _check_references(step, text, graph, resolver)
    if step.parent is not None:
        _check_options_of_fresh(step, text, resolver)
    elif graph.fresh:
        _check_configuration(graph.fresh, step, resolver)
        _check_needed_by_fresh(step, text, resolver)
    for option, model in fresh_models(step.options):
        check_fresh(model.config, (*text.stage_path, *option), resolver)
        if model.embeddings_of is not None:
            _check_start(model, (*text.stage_path, *option), resolver)
    _check_layout(step, text, graph, resolver)
    _check_sizes(step, text, graph, resolver)


def _check_input(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> None:
    if graph.has_mistake(step.parent):
        return
    stage, task = step.entry.cls, step.task.name
    serving = graph.serving(stage, task)
    mistake = edge_mistake(stage, graph.traits_of(step.parent), step.parent, task, serving)
    if mistake:
        resolver.wrong(text.stage_path, mistake.message, mistake.hint, of_value=False)


def _check_task(step: Step, text: StepText, resolver: Resolver) -> None:
    stage = step.entry.cls
    misfit = stage.task_misfit(step.task.entry.cls)
    if misfit:
        entries = sorted(resolver.registry.tasks.items())
        fitting = [name for name, entry in entries if not stage.task_misfit(entry.cls)]
        hint = f"give the step a task that it works for: {', '.join(fitting)}" if fitting else ""
        resolver.wrong(text.stage_path, f"{text.stage!r} {misfit}", hint, of_value=False)
        return
    for mistake in stage.check_task(step.options, step.task.entry.cls):
        add_mistake(mistake, text, resolver)


def _check_data(step: Step, text: StepText, resolver: Resolver) -> None:
    splits = splits_of(step.data)
    missing = [split for split in step.entry.cls.splits_needed(step.options) if split not in splits]
    # Data that are given and could not be resolved have a mistake of their own.
    is_broken = step.data is None and ("data" in text.keys or "data" in resolver.recipe.top)
    if missing and not is_broken:
        message = f"{text.stage!r} needs {' and '.join(missing)} data"
        resolver.wrong(text.stage_path, message, "add them under data:", of_value=False)
    if step.data is None:
        return
    for option, split in splits_asked(step.options):
        if split not in splits:
            message = f"{'.'.join(option)} needs {split} data"
            hint = f"add {split}: under data, or leave it out"
            resolver.wrong((*text.stage_path, *option), message, hint, of_value=False)


def _check_references(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> None:
    stage, task = step.entry.cls, step.task.name
    for named in artifacts_named(step.options):
        if graph.has_mistake(named.name):
            continue
        traits, accepts = graph.traits_of(named.name), stage.accepts_reference(named.option)
        mistake = edge_mistake(stage, traits, named.name, task, [], accepts)
        if mistake:
            message = f"{named.option}: {mistake.message}"
            resolver.wrong((*text.stage_path, *named.path), message, mistake.hint)


def _check_configuration(config: Section, step: Step, resolver: Resolver) -> None:
    """Add a mistake for each key of a fresh model that the stage sets itself: the recipe's value
    would be lost."""
    stage = step.entry.cls
    family = resolver.families.family_of(config["type"])
    renamed = family.renamed if family else {}
    for key in config:
        setter = stage.configures.get(renamed.get(key, key))
        if setter:
            message = f"{key}: {stage.name!r} sets it, by {setter}"
            resolver.wrong(("model", key), message, "leave it out", of_value=False)


def _check_start(model: FreshModel, path: KeyPath, resolver: Resolver) -> None:
    """Add a mistake where no architecture says how a model of this type starts from a teacher."""
    entries = resolver.registry.architectures.values()
    types = {kind for e in entries if starts_from_teachers(e.cls) for kind in e.cls.model_types}
    if model.type not in types:
        message = f"embeddings_of: a {model.type} model does not start from a teacher"
        hint = f"types that do: {', '.join(sorted(types))}" if types else "leave it out"
        resolver.wrong((*path, "embeddings_of"), message, hint, of_value=False)


def _check_options_of_fresh(step: Step, text: StepText, resolver: Resolver) -> None:
    """Add a mistake for each given option that only a step with a fresh model has."""
    for option in fields_marked(type(step.options), FreshMark):
        if option in step.options.model_fields_set:
            message = (
                f"{option} is for a fresh model, and {step.name!r} starts from {step.parent!r}"
            )
            path = (*text.stage_path, option)
            resolver.wrong(path, message, "leave it out", of_value=False)


def _check_needed_by_fresh(step: Step, text: StepText, resolver: Resolver) -> None:
    """Add a mistake where a step with a fresh model has none, or several, of the options of which
    it must have one."""
    options = step.options
    wanted = fields_marked(type(options), NeededByFreshMark)
    given = [option for option in wanted if getattr(options, option) is not None]
    if not wanted or len(given) == 1:
        return
    fields = type(options).model_fields
    hint = "; or: ".join((fields[option].description or "").rstrip(".") for option in wanted)
    message = f"{text.stage!r} of a fresh model needs {' or '.join(wanted)}"
    if given:
        message += ", and has several"
    resolver.wrong(text.stage_path, message, hint, of_value=False)


def _check_layout(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> None:
    """Note the model type of the step's result. Add a mistake where the stage looks for parts of a
    model that no architecture describes."""
    model_type, built = _model_type(step, graph), step.entry.cls.builds(step.options)
    graph.model_types[step.name] = model_type if built is None else built.type
    if model_type is None or not step.entry.cls.needs_layout(step.options):
        return
    architectures = [entry.cls for entry in resolver.registry.architectures.values()]
    try:
        layout_of(model_type, architectures)
    except UsageError as error:
        resolver.wrong(text.stage_path, str(error), of_value=False)


def _model_type(step: Step, graph: Graph) -> str | None:
    """The model type that a step works on; None where it is not known."""
    if step.parent is None:
        return graph.fresh["type"] if graph.fresh else None
    if step.parent in graph.inputs:
        return model_type_of_input(graph.inputs[step.parent])
    return graph.model_types.get(step.parent)


def _check_sizes(step: Step, text: StepText, graph: Graph, resolver: Resolver) -> None:
    """Check the options against the sizes of the step's input and note those of its result, where
    they are known."""
    stage, built = step.entry.cls, step.entry.cls.builds(step.options)
    before = _sizes_before(step, graph, resolver)
    mistakes = [] if before is None else stage.check_sizes(step.options, before)
    for mistake in mistakes:
        add_mistake(mistake, text, resolver)
    if built is not None:
        graph.sizes[step.name] = _sizes_of_fresh(built.config, resolver)
    elif before is not None and not mistakes:
        graph.sizes[step.name] = stage.sizes_left(step.options, before)


def _sizes_before(step: Step, graph: Graph, resolver: Resolver) -> KnownSizes | None:
    if graph.has_mistake(step.parent):
        return None
    if step.parent is None:
        return _sizes_of_fresh(graph.fresh or {}, resolver)
    if step.parent in graph.inputs:
        return sizes_of_input(graph.inputs[step.parent], resolver.registry, resolver.families)
    return graph.sizes.get(step.parent)


def _sizes_of_fresh(fresh: Section, resolver: Resolver) -> KnownSizes | None:
    config = {**fresh, "model_type": fresh.get("type")}
    return known_sizes(config, None, resolver.registry, resolver.families)
