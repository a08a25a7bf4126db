"""The inputs of a run: all data are prepared and all models from outside are imported, before the
first step."""

from __future__ import annotations

from dataclasses import replace

from compress.artifact import Artifact
from compress.planning import Input
from compress.planning.reference import with_model_traits
from compress.results.record import Record
from compress.running.run import Run


def prepare_inputs(run: Run) -> Run:
    """The run with its models in its records, and with the plan that follows from their traits.

    Raises UsageError for data and models that cannot be used."""
    plan = run.plan
    if plan.data is not None:
        run.products.data(plan.data, plan.task)
    for step in plan.steps:
        if step.data is not None:
            run.products.data(step.data, step.task)
        for choice in step.unlabelled.values():
            run.products.data(choice, step.task, targets=False)
    for index, model in enumerate(plan.inputs):
        run.records[model.name] = _import(run, model, f"input-{index}")
    traits = {name: artifact.traits for name, artifact in run.artifacts.items()}
    return replace(run, plan=with_model_traits(plan, traits))


def _import(run: Run, model: Input, label: str) -> Record:
    product, cached = run.products.imported(model, label)
    return Record(
        name=model.name,
        stage="import",
        place=run.folder.link(0, label, product.folder),
        artifact=Artifact.open(product.folder),
        seconds=product.seconds,
        cached=cached,
        parent=None,
    )
