"""The report's JSON from a plan and the records of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compress.artifact import Manifest
from compress.machine import environment
from compress.measurement import Measured
from compress.planning import DataChoice, Plan
from compress.planning.budget import Budget
from compress.planning.types import MODEL, Step
from compress.registry.plugins import Registry
from compress.report.usage import usage
from compress.results.findings import findings
from compress.results.record import Record, fastest_float_engine
from compress.results.verdicts import judge, verdict_on_run
from compress.version import __version__

REPORT_VERSION = 1


def build_report(
    plan: Plan,
    records: Mapping[str, Record],
    state: str,
    registry: Registry,
    unconverted: Mapping[str, str] | None = None,
    failure: str | None = None,
) -> dict[str, Any]:
    """The report as JSON-ready values; ``state`` is ``running``, ``finished``, ``failed`` or
    ``interrupted``; ``unconverted`` says why the reference is not measured in an engine, by the
    name that it would have there; ``failure`` what ended the run."""
    fastest = fastest_float_engine(plan.reference, records)
    report: dict[str, Any] = {
        "report_version": REPORT_VERSION,
        "compress_version": __version__,
        "state": state,
        "failure": failure,
        "name": plan.name,
        "recipe": plan.recipe_text,
        "overrides": list(plan.overrides),
        "seed": plan.seed,
        "task": plan.task.as_dict(),
        "data": _data(plan.data),
        "hub_models": [i.source for i in plan.inputs if i.from_hub],
        "reference": plan.reference,
        "fastest_float_engine": fastest,
        "unmeasured_engines": dict(unconverted or {}),
        "environment": environment(),
        "effort": plan.effort,
        "seconds": _seconds(records),
        "steps": [_step(record, plan, records, fastest, registry) for record in records.values()],
    }
    report["findings"] = findings(report)
    report["budget"] = verdict_on_run(plan.budget, report) if plan.budget else None
    report["step_budgets"] = {
        s.name: step_verdict(s.name, s.budget, report)
        for s in plan.steps
        if s.budget and s.name in records
    }
    return report


def step_verdict(name: str, budget: Budget, report: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a step's own budget."""
    verdicts = judge(
        next(s for s in report["steps"] if s["name"] == name), budget.limits, report, budget.decide
    )
    return {
        "limits": [limit.text for limit in budget.limits],
        "on_miss": budget.on_miss,
        "decide": budget.decide,
        "of_recipe": budget.of_recipe,
        "met": all(v["met"] for v in verdicts),
        "verdicts": verdicts,
    }


def budget_missed(report: Mapping[str, Any]) -> bool:
    """Whether a budget was missed whose policy asks for more than a warning. Of limits that steps
    have from the recipe's budget, the recipe's outcome alone counts."""
    own = [outcome for outcome in report["step_budgets"].values() if not outcome["of_recipe"]]
    outcomes = [*own, *([report["budget"]] if report["budget"] else [])]
    return any(not outcome["met"] and outcome["on_miss"] != "warn" for outcome in outcomes)


def _step(
    record: Record,
    plan: Plan,
    records: Mapping[str, Record],
    fastest: str | None,
    registry: Registry,
) -> dict[str, Any]:
    manifest, task = record.artifact.manifest, (plan.step(record.name) or plan).task
    folder = str(record.place.relative_to(record.place.parent.parent))
    measured = record.measured or Measured({})
    return {
        "name": record.name,
        "stage": record.stage,
        "role": _role(record, plan),
        "parent": record.parent,
        "folder": folder,
        "digest": record.artifact.digest,
        "base": _base(record, records),
        "needs": list(manifest.needs),
        "traits": asdict(manifest.traits),
        "task": record.task or manifest.traits.task,
        "options": _options(manifest, plan.step(record.name)),
        "seed": None if record.stage == "import" else manifest.seed,
        "seconds": record.seconds,
        "measuring_seconds": measured.seconds,
        "cached": record.cached,
        "test": record.test,
        "usage": usage(manifest.traits, manifest.needs, folder, task, registry),
        "labels": list(manifest.labels),
        "attempts": [dict(attempt) for attempt in record.attempts],
        "measurements": {n: m.as_dict() for n, m in measured.measurements.items()},
        "against_reference": _against(record, plan.reference, records),
        "against_fastest": _against(record, fastest, records),
        "against_parent": _against(record, record.parent, records),
        "against_named": _against_named(record, {plan.reference, fastest, record.parent}, records),
    }


def _base(record: Record, records: Mapping[str, Record]) -> str | None:
    """What this run calls the model that it started from; equal files may have been called
    otherwise when the store had the step made. None for what was trained from nothing."""
    while parent := records.get(record.parent or ""):
        record = parent
    return record.artifact.manifest.base


def _options(manifest: Manifest, step: Step | None) -> dict[str, Any]:
    """The options that a step was made with; the artifacts that they name are called as this run
    calls them, for the store may have had the step from a run with other names."""
    named = {name: getattr(step.options, name) for name in step.references} if step else {}
    return {**manifest.options, **named}


def _data(data: DataChoice | None) -> dict[str, str] | None:
    """What the data are called: by the option that selects their source (a hub id), else by a
    file's name without its folder, else by the source's own name. No place on this machine is
    told."""
    if data is None:
        return None
    options, selects = data.as_dict()["options"], data.entry.cls.selects
    told = [
        options[key]
        for key in (selects, "test", "train")
        if key and isinstance(options.get(key), str)
    ]
    path = next((Path(text) for text in told), None)
    named = path.name if path and path.is_absolute() else str(path) if path else data.entry.name
    return {"source": data.entry.name, "name": named if selects in options else Path(named).stem}


def _seconds(records: Mapping[str, Record]) -> dict[str, float]:
    """What making and measuring took, in the run that did it: a step that is reused counts as when
    it was made."""
    made = sum(record.seconds for record in records.values() if not record.conversion)
    measuring = sum(
        r.seconds for r in records.values() if r.conversion
    )  # conversions are made to be measured
    measuring += sum(r.measured.seconds for r in records.values() if r.measured)
    given_up = [a for r in records.values() for a in r.attempts if a["digest"] != r.artifact.digest]
    return {
        "making": made + sum(a["seconds"] for a in given_up),
        "measuring": measuring + sum(a["measuring_seconds"] for a in given_up),
    }


def _role(record: Record, plan: Plan) -> str:
    if record.name == plan.reference:
        return "reference"
    if record.conversion:
        return "reference-engine"
    return "input" if record.name == MODEL or record.stage == "import" else "step"


def _against(
    record: Record, name: str | None, records: Mapping[str, Record]
) -> dict[str, Any] | None:
    """Changes against another artifact of the same task; timings as ratios that were measured in
    turns. Scores, which have no unit, and what states ``examples`` among its conditions are
    compared where both answered the same."""
    other = records.get(name) if name else None
    if (
        other is None
        or other is record
        or other.measured is None
        or record.measured is None
        or other.task != record.task
    ):
        return None
    changes = {}
    for key, mine in record.measured.measurements.items():
        theirs = other.measured.measurements.get(key)
        of_examples = not mine.unit or "examples" in mine.conditions
        if (
            theirs is None
            or mine.value is None
            or theirs.value is None
            or (of_examples and other.test != record.test)
        ):
            continue
        quotient = mine.value / theirs.value if theirs.value else None
        changes[key] = {"difference": mine.value - theirs.value, "quotient": quotient}
    comparisons = record.measured.comparisons.get(other.name, {})
    return {
        "name": other.name,
        "changes": changes,
        "comparisons": {n: m.as_dict() for n, m in comparisons.items()},
    }


def _against_named(
    record: Record, known: set[str | None], records: Mapping[str, Record]
) -> list[dict[str, Any]]:
    """Changes against what else it took turns with: the steps that limits name."""
    others = record.measured.comparisons if record.measured else {}
    found = (_against(record, name, records) for name in others if name not in known)
    return [against for against in found if against]
