"""The report of a run, made from its plan and the records of its steps. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from compress.artifact import Manifest
from compress.machine import environment
from compress.measurement import Measured, Values
from compress.planning import DataChoice, Plan
from compress.planning.types import MODEL, Step
from compress.registry.plugins import Registry
from compress.report.usage import usage
from compress.results.comparing import against, against_named
from compress.results.fastest import fastest_float_engine
from compress.results.findings import findings
from compress.results.outcomes import StepBudgetOutcome
from compress.results.record import Record
from compress.results.report import (
    REPORT_VERSION,
    Environment,
    Report,
    ReportedData,
    ReportedTask,
    Seconds,
    State,
)
from compress.results.step import AttemptResult, Role, StepResult
from compress.results.verdicts import verdict_on_run, verdict_on_step
from compress.version import __version__


def build_report(
    plan: Plan,
    records: Mapping[str, Record],
    state: State,
    registry: Registry,
    unconverted: Mapping[str, str] | None = None,
    failure: str | None = None,
) -> Report:
    """The report of what is known so far.

    ``unconverted`` says why the reference is not measured in an engine, by the name that it would
    have there. ``failure`` is what ended the run."""
    facts = _facts(plan, records, state, registry, unconverted or {}, failure)
    return facts.model_copy(
        update={
            "findings": findings(facts),
            "budget": verdict_on_run(plan.budget, facts) if plan.budget else None,
            "step_budgets": _step_budgets(plan, records, facts),
        }
    )


def _facts(
    plan: Plan,
    records: Mapping[str, Record],
    state: State,
    registry: Registry,
    unconverted: Mapping[str, str],
    failure: str | None,
) -> Report:
    """The report without findings and budgets, which are judged by it."""
    fastest = fastest_float_engine(plan, records)
    return Report(
        report_version=REPORT_VERSION,
        compress_version=__version__,
        state=state,
        failure=failure,
        name=plan.name,
        recipe=plan.recipe_text,
        overrides=tuple(plan.overrides),
        seed=plan.seed,
        task=ReportedTask(**plan.task.as_dict()),
        data=_data(plan.data),
        hub_models=tuple(model.source for model in plan.inputs if model.from_hub),
        reference=plan.reference,
        fastest_float_engine=fastest,
        unmeasured_engines=dict(unconverted),
        environment=Environment.model_validate(environment(), strict=False),
        effort=plan.effort,
        seconds=_seconds(records),
        steps=tuple(_step(record, plan, records, fastest, registry) for record in records.values()),
        findings=(),
        budget=None,
        step_budgets={},
    )


def _step_budgets(
    plan: Plan, records: Mapping[str, Record], facts: Report
) -> dict[str, StepBudgetOutcome]:
    """The outcome of each step's budget, for the steps that have been made."""
    return {
        step.name: verdict_on_step(step.name, step.budget, facts)
        for step in plan.steps
        if step.budget and step.name in records
    }


def _step(
    record: Record,
    plan: Plan,
    records: Mapping[str, Record],
    fastest: str | None,
    registry: Registry,
) -> StepResult:
    manifest, task = record.artifact.manifest, (plan.step(record.name) or plan).task
    folder = str(record.place.relative_to(record.place.parent.parent))
    measured = record.measured or Measured({})
    return StepResult(
        name=record.name,
        stage=record.stage,
        role=_role(record, plan),
        parent=record.parent,
        folder=folder,
        digest=record.artifact.digest,
        base=_base(record, records),
        needs=tuple(manifest.needs),
        traits=manifest.traits,
        task=record.task or manifest.traits.task,
        options=_options(manifest, plan.step(record.name)),
        seed=None if record.stage == "import" else manifest.seed,
        seconds=record.seconds,
        measuring_seconds=measured.seconds,
        cached=record.cached,
        test=record.test,
        usage=usage(manifest.traits, manifest.needs, folder, task, registry),
        labels=tuple(manifest.labels),
        attempts=tuple(record.attempts),
        notes=dict(manifest.notes),
        measurements=measured.measurements,
        against_reference=against(record, plan.reference, records),
        against_fastest=against(record, fastest, records),
        against_parent=against(record, record.parent, records),
        against_named=against_named(record, {plan.reference, fastest, record.parent}, records),
    )


def _role(record: Record, plan: Plan) -> Role:
    if record.name == plan.reference:
        return "reference"
    if record.conversion:
        return "reference-engine"
    return "input" if record.name == MODEL or record.stage == "import" else "step"


def _base(record: Record, records: Mapping[str, Record]) -> str | None:
    """The name in this run of the model that a step started from. None where it was trained from
    random weights.

    The step's own manifest may hold another name: another run may have made it from equal files."""
    while parent := records.get(record.parent or ""):
        record = parent
    return record.artifact.manifest.base


def _options(manifest: Manifest, step: Step | None) -> Values:
    """The options that a step was made with. Artifacts have the names of this run: another run,
    with other names, may have made the step."""
    if step is None:
        return dict(manifest.options)
    own = step.options.model_dump(mode="json")
    named = {option.split(".")[0] for option in step.references}
    return {**manifest.options, **{name: own[name] for name in named}}


def _data(data: DataChoice | None) -> ReportedData | None:
    """The name of the data: the option that selects their source (a hub id), else the name of a
    file without its folder, else the source's own name. It names no place on this machine."""
    if data is None:
        return None
    source, options = data.entry.name, data.options.model_dump(mode="json")
    selects = data.entry.cls.selects
    keys = [key for key in (selects, "test", "train") if key]
    texts = [options[key] for key in keys if isinstance(options.get(key), str)]
    name = _without_folder(texts[0]) if texts else source
    return ReportedData(source=source, name=name if selects in options else Path(name).stem)


def _without_folder(text: str) -> str:
    path = Path(text)
    return path.name if path.is_absolute() else str(path)


def _seconds(records: Mapping[str, Record]) -> Seconds:
    """The time that making and measuring took. A reused step counts with the time that it took when
    it was made. Converting the reference counts as measuring: it is made only for that."""
    making = measuring = 0.0
    for record in records.values():
        if record.conversion:
            measuring += record.seconds
        else:
            making += record.seconds
        if record.measured:
            measuring += record.measured.seconds
        for attempt in _given_up(record):
            making += attempt.seconds
            measuring += attempt.measuring_seconds
    return Seconds(making=making, measuring=measuring)


def _given_up(record: Record) -> Iterator[AttemptResult]:
    """The tries of a step that were given up: all but the one that counts."""
    for attempt in record.attempts:
        if attempt.digest != record.artifact.digest:
            yield attempt
