"""The runner walks a plan's steps: make or reuse each, measure what was saved, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from compress.artifact import Artifact
from compress.errors import BudgetMissed, CompressError, IntegrityError, NothingChanged
from compress.measure import Request, Subject, measure
from compress.measure.reuse import (
    MeasurementFile,
    conditions_of,
    copy_unless_equal,
    reusable,
)
from compress.measurement import Measured
from compress.planning import DataChoice, Plan, Step, TaskChoice
from compress.planning.budget import Budget
from compress.planning.budgetsection import with_options
from compress.planning.reference import conversion_steps, with_model_traits
from compress.registry.plugins import Registry
from compress.report.build import build_report
from compress.report.views.writing import write_report
from compress.results.fastest import fastest_float_engine
from compress.results.outcomes import verdict_text
from compress.results.record import Record
from compress.results.report import Report, State
from compress.running.backing_off import Attempt, changed, chosen, worth_another
from compress.running.making import Products
from compress.running.preflight import (
    can_be_measured,
    numbered_heads,
    refuse_long_examples,
    refuse_wrong_configuration,
    refuse_wrong_edges,
    refuse_wrong_labels,
)
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers.protocol import Chosen

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclass
class Runner:
    """One run. ``listener`` is told every event as it happens; the same events stand in
    ``events.jsonl``."""

    plan: Plan
    registry: Registry
    store: Store
    folder: RunFolder
    listener: Listener
    records: dict[str, Record] = field(default_factory=dict)
    unconverted: dict[str, str] = field(default_factory=dict)
    """Why the reference could not be made into an engine's format or run there, by the name that it
    would have."""

    def __post_init__(self) -> None:
        self.products = Products(self.registry, self.store, self.folder, self.tell)

    def run(self) -> Report:
        """Make and measure every step; the report as written to ``report.json``. What is finished
        stays finished whatever happens later. Where another process makes the same run, it is
        waited for."""
        with self.folder.held(
            lambda who: self.listener(
                {
                    "event": "note",
                    "time": time.time(),
                    "text": f"waiting for {who}, which makes the same run",
                }
            )
        ):
            return self._run()

    def _run(self) -> Report:
        self.folder.prepare(self.plan)
        self.tell("run_started", name=self.plan.name, folder=str(self.folder.root))
        try:
            self._take_in()
            for index, step in enumerate(self.plan.steps, start=1):
                self._do_step(step, index)
            self._hold_run_to_budget()
        except CompressError as error:
            self.tell("run_failed", text=str(error))
            self.report(*self.ended_by(error))
            raise
        except BaseException as error:
            with suppress(Exception):  # what ended the run is what is told
                self.report(*self.ended_by(error))
            raise
        report = self.report("finished")
        if report.budget and report.budget.best:
            self.folder.link_best(self.records[report.budget.best].place)
        self.tell("run_finished", report=str(self.folder.report))
        return report

    def tell(self, event: str, **values: Any) -> None:
        """Record an event and pass it on; progress is passed on alone."""
        message = {"event": event, "time": time.time(), **values}
        if event != "progress":
            self.folder.event(message)
        self.listener(message)

    def report(self, state: State, failure: str | None = None) -> Report:
        """Write the report of what is known so far."""
        report = self.known(state, failure)
        write_report(report, self.folder)
        return report

    def known(self, state: State, failure: str | None = None) -> Report:
        """The report of what is known so far, not written."""
        return build_report(
            self.plan, self.records, state, self.registry, self.unconverted, failure
        )

    def ended_by(self, error: BaseException) -> tuple[State, str | None]:
        """The state of a run that ``error`` ended, and why."""
        if isinstance(error, KeyboardInterrupt):
            return "interrupted", None
        return "failed", self._reason(error)

    def _reason(self, error: BaseException) -> str:
        """What an error says, in which the places of the run's folder and of the store are not
        told."""
        text = (
            str(error) if isinstance(error, CompressError) else f"{type(error).__name__}: {error}"
        )
        return text.replace(f"{self.folder.root}/", "").replace(str(self.store.root), "the store")

    # data and models from outside

    def _take_in(self) -> None:
        """Prepare all data and import all models, refuse what does not fit, measure the models that
        serve the task."""
        for data, task in [
            (self.plan.data, self.plan.task),
            *((s.data, s.task) for s in self.plan.steps),
        ]:
            if data is not None:
                self.products.data(data, task)
        for i, model in enumerate(self.plan.inputs):
            product, cached = self.products.imported(model, f"input-{i}")
            place = self.folder.link(0, f"input-{i}", product.folder)
            self.records[model.name] = Record(
                model.name,
                "import",
                place,
                Artifact.open(product.folder),
                product.seconds,
                cached,
                None,
            )
        artifacts = {name: record.artifact for name, record in self.records.items()}
        self.plan = with_model_traits(self.plan, {name: a.traits for name, a in artifacts.items()})
        refuse_wrong_edges(self.plan)
        refuse_long_examples(self.plan, artifacts)
        refuse_wrong_labels(self.plan, artifacts, self.products)
        refuse_wrong_configuration(self.plan, self.products)
        for line in numbered_heads(self.plan, artifacts, self.products):
            self.tell("note", text=line)
        for name in sorted(artifacts, key=lambda n: n != self.plan.reference):
            if self.plan.data is not None and can_be_measured(
                self.plan, artifacts[name], self.products
            ):
                self._measure([name, *self._engines_of(name)], self.plan.task, self.plan.data)

    # steps

    def _do_step(self, step: Step, index: int) -> None:
        self.tell(
            "step_started",
            step=step.name,
            stage=step.entry.name,
            index=index,
            of=len(self.plan.steps),
        )
        earlier = [n for n, record in self.records.items() if record.task == step.task.name]
        made = [] if step.budget and step.budget.on_miss == "back_off" else [step.name]
        if made:
            self._make(step, index)
        elif step.budget:
            self._back_off(step, step.budget, index)  # which measures each try
        self._measure([*made, *self._engines_of(step.name)], step.task, step.data)
        self.tell("step_finished", step=step.name, record=self.records[step.name].summary())
        if step.name == self.plan.reference:
            self._measure_again(earlier)
        self._hold_to_budget(step, self.report("running"))

    def _back_off(self, step: Step, budget: Budget, index: int) -> None:
        """Make the step, and again with less until its budget is met. The tries are named
        ``step@try-1`` and on; the step's own name leads to the one that counts."""
        attempts = [self._attempt(step, index, 1)]
        while worth_another(attempts, budget):
            another = self._with_less(step, attempts, index)
            if another is None:
                break
            attempts.append(another)
        counts = chosen(attempts)
        place = self.folder.link(index, step.name, counts.record.artifact.folder)
        copy_unless_equal(
            self.folder.measured(_try_name(step, attempts.index(counts) + 1)),
            self.folder.measured(step.name),
        )
        self.records[step.name] = replace(
            counts.record, place=place, attempts=[a.result() for a in attempts]
        )

    def _with_less(self, step: Step, attempts: Sequence[Attempt], index: int) -> Attempt | None:
        """The next try; None where the stage has nothing less to take, or took nothing at all."""
        before = attempts[-1]
        less = step.entry.cls.back_off(before.options)
        if less is None:
            return None
        how = changed(before.options, less)
        self.tell(
            "note",
            text=f"{step.name} misses its budget: {verdict_text(before.verdicts)}; trying again with {how}",
        )
        try:
            return self._attempt(with_options(step, less, self.plan), index, len(attempts) + 1)
        except NothingChanged:
            self.tell("note", text=f"{step.name}: nothing is taken with {how}")
            return None

    def _attempt(self, step: Step, index: int, number: int) -> Attempt:
        label = _try_name(step, number)
        self._make(step, index, label)
        self._measure([step.name], step.task, step.data, label)
        outcome = self.known("running").step_budgets[step.name]
        return Attempt(step.options, self.records[step.name], outcome.verdicts)

    def _hold_run_to_budget(self) -> None:
        """Raise BudgetMissed where no step meets a budget that must be met; a bench has no steps to
        blame."""
        if self.plan.budget is None or self.plan.budget.on_miss != "fail" or not self.plan.steps:
            return
        outcome = self.known("running").budget
        if outcome and not outcome.met:
            nearest = outcome.nearest
            raise BudgetMissed(
                f"no step meets the budget; nearest is {nearest}: "
                f"{verdict_text(outcome.verdicts.get(nearest or '', ()))}; every model is kept"
            )

    def _hold_to_budget(self, step: Step, report: Report) -> None:
        outcome = report.step_budgets.get(step.name)
        if outcome is None or outcome.met:
            return
        text = f"{step.name} misses its budget: {verdict_text(outcome.verdicts)}"
        if outcome.on_miss == "fail":
            raise BudgetMissed(f"{text}; its model is kept")
        self.tell("note", text=text)

    def _make(self, step: Step, index: int, label: str = "") -> None:
        """Make the step or find it in the store; its worker's files and its link are under
        ``label``, or its name."""
        label = label or step.name
        parent = self.records[step.parent].artifact if step.parent else None
        references = {
            option: self.records[name].artifact for option, name in step.references.items()
        }
        fresh = self.plan.fresh if parent is None else None
        product, cached = self.products.step(step, parent, references, fresh, label)
        place = self.folder.link(index, label, product.folder)
        self.records[step.name] = Record(
            step.name,
            step.entry.name,
            place,
            Artifact.open(product.folder),
            product.seconds,
            cached,
            step.parent,
        )

    # measuring

    def _engines_of(self, name: str) -> list[str]:
        """Names of the reference in every other float engine installed, so that an engine's gain
        and compression's are told apart; they are made here. None where ``name`` is another
        artifact's.

        An engine that cannot take it is named with the reason, and ends nothing."""
        made: list[str] = []
        for step in (
            conversion_steps(self.plan, self.registry) if name == self.plan.reference else ()
        ):
            try:
                self._make(step, 0)
            except IntegrityError:  # of the store, not of the engine
                raise
            except CompressError as error:
                self._give_up(step.name, error)
                continue
            self.records[step.name] = replace(self.records[step.name], conversion=True)
            made.append(step.name)
        return made

    def _give_up(self, name: str, error: CompressError) -> None:
        """Go on without the reference in an engine that cannot take or run it."""
        self.records.pop(name, None)
        self.unconverted[name] = self._reason(error)
        self.tell("note", text=f"{name} is not measured: {error}")

    def _measure_again(self, earlier: Sequence[str]) -> None:
        """What was measured before the reference was there is measured again, beside it."""
        for name in earlier:
            made_by = self.plan.step(name) or self.plan
            self._measure([name], made_by.task, made_by.data)

    def _measure(
        self, names: Sequence[str], task: TaskChoice, data: DataChoice | None, label: str = ""
    ) -> None:
        """Measure artifacts in one sitting, those that were not in an earlier go of this run; one
        alone may have a ``label``."""
        product = self.products.data(data, task) if data else None
        test = product.files.get("test.parquet") if product else None
        for name in names:
            self.records[name] = replace(self.records[name], task=task.name, test=test)
        beside = {name: self._beside(self.records[name]) for name in names}
        of = {
            name: conditions_of(
                self.records[name].artifact.digest,
                {n: self.records[n].artifact.digest for n in beside[name]},
                product.digest if product else None,
                task.entry.origin,
                self.plan.effort,
                self.registry,
            )
            for name in names
        }
        found = {name: reusable(self.folder.measured(label or name), of[name]) for name in names}
        for name in names:
            self.records[name] = replace(self.records[name], measured=found[name])
        left = [name for name in names if found[name] is None]
        taken: Mapping[str, Measured] = {}
        failed: CompressError | None = None
        try:
            taken = (
                self._sitting({name: beside[name] for name in left}, task, data, label or left[0])
                if left
                else {}
            )
        except CompressError as error:
            failed = error
        if failed is not None and len(left) > 1:
            for name in left:  # what can be measured alone is kept
                self._measure([name], task, data, label)
        elif failed is not None:
            self._without(left[0], failed)
        for name, measured in taken.items():
            MeasurementFile(of[name], measured).write(self.folder.measured(label or name))
            self.records[name] = replace(self.records[name], measured=measured)

    def _without(self, name: str, error: CompressError) -> None:
        """Go on without what could not be measured, where it is the reference in an engine; else
        raise ``error``."""
        if isinstance(error, IntegrityError) or not self.records[name].conversion:
            raise error
        self._give_up(name, error)

    def _sitting(
        self,
        beside: Mapping[str, Sequence[str]],
        task: TaskChoice,
        data: DataChoice | None,
        label: str,
    ) -> dict[str, Measured]:
        """Measurements of the artifacts that are keys, each compared with those ``beside`` it."""
        for name in beside:
            self.tell("measuring", step=name)
        requests = [
            Request(self._subject(name, task, data), some, self.records[name].parent)
            for name, some in beside.items()
        ]
        others = dict.fromkeys(n for some in beside.values() for n in some if n not in beside)
        test = self.records[next(iter(beside))].test
        known = {
            n: m for n in others if (m := self.records[n].measured) and self.records[n].test == test
        }
        return measure(
            requests,
            [self._subject(n, task, data) for n in others],
            self.registry,
            self.folder.measuring(label),
            self.plan.effort,
            known,
        )

    def _beside(self, record: Record) -> list[str]:
        """Names of what an artifact takes turns with: the reference, its fastest float engine
        (which is being looked for where the artifact is the reference in an engine), the step
        before, and the steps that limits name."""
        fastest = (
            None if record.conversion else fastest_float_engine(self.plan.reference, self.records)
        )
        step = self.plan.step(record.name)
        budgets = [b for b in (self.plan.budget, step.budget if step else None) if b]
        names = dict.fromkeys(
            [
                self.plan.reference,
                fastest,
                record.parent,
                *(n for b in budgets for n in b.compared_with),
            ]
        )
        return [
            n
            for n in names
            if n and n != record.name and n in self.records and self.records[n].task == record.task
        ]

    def _subject(self, name: str, task: TaskChoice, data: DataChoice | None) -> Subject:
        artifact = self.records[name].artifact
        prepared = self.products.prepared(data, task) if data else None
        return Subject(name, artifact.folder, Chosen.of(task), prepared)


def _try_name(step: Step, number: int) -> str:
    return f"{step.name}@try-{number}"
