"""Measuring artifacts of a run: which ones take turns, and which measurements of an earlier run are
reused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import REFUSALS, CompressError, IntegrityError
from compress.measure import Subject, measure
from compress.measure.reuse import (
    MeasurementFile,
    MeasuringConditions,
    conditions_of,
    read_reusable,
)
from compress.measurement import Measured
from compress.planning import DataChoice, TaskChoice
from compress.results.fastest import fastest_float_engine
from compress.running.events import PHASE
from compress.running.run import Run
from compress.running.steps import give_up, note_unknown
from compress.store.prepared import Prepared
from compress.store.store import Product
from compress.workers.protocol import Chosen


def measure_together(
    run: Run, names: Sequence[str], task: TaskChoice, data: DataChoice | None, label: str = ""
) -> None:
    """Measure together what this run has not measured yet.

    ``label`` names the files of an artifact that is measured alone, by default its name. Raises
    CompressError where an artifact cannot be measured. A conversion of the reference that its
    engine refuses is given up instead."""
    product = run.products.data(data, task) if data else None
    _Group(run, task, product, label).measure(names)


@dataclass(frozen=True)
class _Group:
    """Artifacts that answer the same test split for the same task."""

    run: Run
    task: TaskChoice
    data: Product | None
    label: str

    @property
    def test(self) -> str | None:
        """The sha256 of the test split."""
        return self.data.files.get("test.arrow") if self.data else None

    def measure(self, names: Sequence[str]) -> None:
        """Fill in the measurements of the records."""
        run = self.run
        for name in names:
            run.update(name, task=self.task.name, test=self.test)
        partners = {name: turn_partners(run, name) for name in names}
        conditions = {name: self._conditions(name, partners[name]) for name in names}
        for name in names:
            run.update(name, measured=self._earlier(name, conditions[name]))
        missing = [name for name in names if run.records[name].measured is None]
        if not missing:
            return
        try:
            measured = self._measure_now({name: partners[name] for name in missing})
        except CompressError as error:
            self._measure_alone(missing, error)
            return
        for name, result in measured.items():
            MeasurementFile(conditions[name], result).write(self._file(name))
            run.update(name, measured=result)

    def _earlier(self, name: str, conditions: MeasuringConditions) -> Measured | None:
        """Measurements of an earlier run under these conditions; None if there are none, or if
        their file is not as it was written, which is noted."""
        try:
            return read_reusable(self._file(name), conditions)
        except IntegrityError as error:
            self.run.events.note(f"warning: {error}; {name} is measured again")
            return None

    def _measure_alone(self, names: Sequence[str], error: CompressError) -> None:
        """Measure the artifacts one by one after ``error`` has ended their common measuring. A
        conversion that is refused is given up."""
        if len(names) > 1:
            for name in names:
                self.measure([name])
            return
        (name,) = names
        if not self.run.records[name].conversion:
            raise error
        if not isinstance(error, REFUSALS):
            note_unknown(self.run, name)
            raise error
        give_up(self.run, name, error)

    def _measure_now(self, partners: Mapping[str, Sequence[str]]) -> dict[str, Measured]:
        """Measurements of artifacts, each compared with its partners; keys are the artifacts."""
        run = self.run
        for name in partners:
            run.events.emit("measuring", step=name)
        others: dict[str, None] = {}
        for names in partners.values():
            others.update(dict.fromkeys(name for name in names if name not in partners))
        subjects = [self._subject(name, compared) for name, compared in partners.items()]
        start = time.monotonic()
        measured = measure(
            subjects,
            [self._subject(name) for name in others],
            run.registry,
            run.folder.measuring(self.label or next(iter(partners))),
            run.plan.effort,
            self._known(others),
            run.products.server,
            run.kept,
            tell=self._tell,
        )
        seconds = time.monotonic() - start
        run.events.emit(PHASE, text=f"measured {', '.join(partners)}", seconds=seconds)
        self._warn_of_disturbance(measured)
        return measured

    def _warn_of_disturbance(self, measured: Mapping[str, Measured]) -> None:
        """Note what disturbed the timings. It was the same for all, which took turns."""
        disturbed = next(iter(measured.values())).disturbed
        if disturbed:
            self.run.events.note(
                f"warning: the machine was not at rest while {', '.join(measured)} took turns: "
                f"{disturbed}; timings are less exact"
            )

    def _tell(self, done: float, total: int, text: str) -> None:
        """Show how many meters have taken their samples, and which one does now."""
        self.run.events.emit(
            "progress", step="measuring", done=done, total=total, text=text, values={}
        )

    def _known(self, names: Iterable[str]) -> dict[str, Measured]:
        """Earlier measurements on the same examples, by artifact."""
        known = {}
        for name in names:
            record = self.run.records[name]
            if record.measured and record.test == self.test:
                known[name] = record.measured
        return known

    def _conditions(self, name: str, partners: Sequence[str]) -> MeasuringConditions:
        """Everything that the measurements of an artifact depend on."""
        records = self.run.records
        return conditions_of(
            records[name].artifact.digest,
            {other: records[other].artifact.digest for other in partners},
            self.data.digest if self.data else None,
            self.task.entry.origin,
            self.run.plan.effort,
            self.run.registry,
        )

    def _file(self, name: str) -> Path:
        return self.run.folder.measured(self.label or name)

    def _subject(self, name: str, compared: Sequence[str] = ()) -> Subject:
        data = None
        if self.data is not None:
            data = Prepared(self.data.folder, self.data.digest)
        record = self.run.records[name]
        return Subject(
            name=name,
            folder=record.artifact.folder,
            task=Chosen.of(self.task),
            data=data,
            compared=tuple(compared),
            parent=record.parent,
        )


def turn_partners(run: Run, name: str) -> list[str]:
    """The artifacts that take turns with an artifact: the reference, its fastest float engine, the
    step before, and the steps that limits name.

    While the reference is measured in other engines the fastest one is not known yet."""
    record, step = run.records[name], run.plan.step(name)
    candidates = [run.plan.reference]
    if not record.conversion:
        candidates.append(fastest_float_engine(run.plan, run.records))
    candidates.append(record.parent)
    for budget in (run.plan.budget, step.budget if step else None):
        candidates += budget.compared_with if budget else ()
    partners = []
    for other in dict.fromkeys(candidates):
        known = run.records.get(other or "")
        if known is not None and known.name != name and known.task == record.task:
            partners.append(known.name)
    return partners
