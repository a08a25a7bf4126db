"""Making a step, or finding it in the store, and recording it; the same for conversions of the
reference."""

from __future__ import annotations

from compress.artifact import Artifact
from compress.errors import REFUSALS, CompressError
from compress.measurement import Measured
from compress.planning import Step
from compress.planning.conversions import conversion_steps
from compress.results.record import Record
from compress.running.run import Run


def make_step(run: Run, step: Step, index: int, label: str = "", phase: str = "") -> None:
    """Make the step or find it in the store, and record it. ``label``, by default its name, names
    its link and its worker's files. ``phase`` is shown while it is made."""
    label = label or step.name
    parent = run.records[step.parent].artifact if step.parent else None
    references = {option: run.records[name].artifact for option, name in step.references.items()}
    fresh = run.plan.fresh if parent is None else None
    product, cached = run.products.step(
        step, parent, references, fresh, label, phase, _earlier(run, step)
    )
    run.records[step.name] = Record(
        name=step.name,
        stage=step.entry.name,
        place=run.folder.link(index, label, product.folder),
        artifact=Artifact.open(product.folder),
        seconds=product.seconds,
        cached=cached,
        parent=step.parent,
    )


def _earlier(run: Run, step: Step) -> dict[str, Measured]:
    """What was measured of the other artifacts so far, by name."""
    records = run.records.values()
    return {r.name: r.measured for r in records if r.measured and r.name != step.name}


def make_conversions(run: Run, name: str) -> list[str]:
    """Convert the reference for every other installed float engine; the names of the conversions.
    Nothing is done where ``name`` is not the reference.

    Conversions show what an engine gains apart from what compression gains. One that is refused is
    given up with a note. Raises CompressError for one that ends otherwise."""
    if name != run.plan.reference:
        return []
    made = []
    steps = conversion_steps(run.plan, run.registry)
    for number, step in enumerate(steps, start=1):
        try:
            make_step(run, step, 0, phase=f"converting to {step.name} ({number} of {len(steps)})")
        except REFUSALS as error:
            give_up(run, step.name, error)
        except CompressError:
            note_unknown(run, step.name)
            raise
        else:
            run.update(step.name, conversion=True)
            made.append(step.name)
    return made


def note_unknown(run: Run, name: str) -> None:
    """Say what ended the run: a conversion of the reference, of which nothing is known yet."""
    run.events.note(
        f"{name} could not be made or measured, which does not say that its engine cannot take the "
        "model: run again to try it again; with effort: quick the reference is in no other engine"
    )


def give_up(run: Run, name: str, error: CompressError) -> None:
    """Go on without a conversion of the reference that cannot be made or run, and note why."""
    run.records.pop(name, None)
    run.unconverted[name] = run.reason(error)
    run.events.note(f"{name} is not measured: {error}")
