"""The runner walks a plan's steps: reuse what the store has, start a worker for what it has not, measure, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from compress.artifact import Artifact, sha256_file
from compress.data import Prepared
from compress.errors import CompressError, Mistake, UsageError
from compress.jobs.importing import source_files
from compress.keys import data_ingredients, step_ingredients
from compress.measure import Subject, measure
from compress.planning import DataChoice, Input, Plan, Step, TaskChoice
from compress.planning.build import with_model_traits
from compress.planning.edges import edge_mistake
from compress.planning.types import MODEL
from compress.plugins import Registry
from compress.report.build import Record, build_report, measured_dict
from compress.report.views import write_views
from compress.runfolder import RunFolder, write_json
from compress.store import Product, Store
from compress.supervisor import run_job

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclass
class Runner:
    """One run. ``listener`` is told every event as it happens; the same events stand in ``events.jsonl``."""

    plan: Plan
    registry: Registry
    store: Store
    folder: RunFolder
    listener: Listener
    records: dict[str, Record] = field(default_factory=dict)
    _data: dict[str, Product] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Make and measure every step; the report as written to ``report.json``. What is finished stays finished
        whatever happens later."""
        self.folder.prepare(self.plan)
        self.tell("run_started", name=self.plan.name, folder=str(self.folder.root))
        self._prepare_data()
        self._import_models()
        self._refuse_wrong_labels()
        self._measure_input()
        for step in self.plan.steps:
            self._do_step(step)
        report = self._report("finished")
        self.tell("run_finished", report=str(self.folder.report))
        return report

    def tell(self, event: str, **values: Any) -> None:
        """Record an event and pass it on; progress is passed on alone."""
        message = {"event": event, "time": time.time(), **values}
        if event != "progress":
            self.folder.event(message)
        self.listener(message)

    # what steps start from

    def _prepare_data(self) -> None:
        choices = [(self.plan.data, self.plan.task)] + [(s.data, s.task) for s in self.plan.steps]
        for data, task in choices:
            if data is not None:
                self._data_product(data, task)

    def _data_product(self, data: DataChoice, task: TaskChoice) -> Product:
        name = str((data.as_dict(), task.as_dict()))
        if name not in self._data:
            job = {"kind": "prepare", "source": data.as_dict(), "task": task.as_dict()}
            self._data[name], _ = self._make("data", data_ingredients(data, task), job, f"data-{len(self._data)}", "data")
        return self._data[name]

    def _import_models(self) -> None:
        traits = {}
        for i, model in enumerate(self.plan.inputs):
            product, cached, seconds = self._import(model, f"input-{i}")
            artifact = Artifact.open(product.folder)
            traits[model.name] = artifact.traits
            self.records[model.name] = Record(model.name, "import", self.folder.link(0, f"input-{i}", product.folder),
                                              artifact, seconds, cached, None)
        self.plan = with_model_traits(self.plan, traits)
        self._recheck_edges()

    def _import(self, model: Input, label: str) -> tuple[Product, bool, float]:
        folder = model.source
        if model.from_hub:
            self.tell("note", text=f"fetching {model.source} from the hub")
            folder = run_job({"kind": "download", "hub": model.source}, self.folder.job(label + "-download"),
                             self.folder.log(label), self._message(label))["folder"]
        files = source_files(Path(folder))
        found = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
        job = {"kind": "import", "folder": folder, "step": model.name, "source": _public_source(model)}
        product, cached = self._make("artifact", {"kind": "artifact", "stage": "import", "files": found}, job, label, label)
        return product, cached, product.seconds

    def _recheck_edges(self) -> None:
        """Hub models are known only now; what could not be said in the plan is said before the first step."""
        mistakes = []
        for step in self.plan.steps:
            model = self.plan.input(step.parent) if step.parent else None
            problem = model and edge_mistake(step.entry.cls, model.traits, model.name, step.task.name, [])
            if problem:
                mistakes.append(Mistake(step.place, *problem))
        if mistakes:
            raise UsageError(mistakes)

    def _refuse_wrong_labels(self) -> None:
        """A model that serves the task already must have the data's labels in the data's order."""
        mistakes = []
        for model in self.plan.inputs:
            artifact = self.records[model.name].artifact
            for step in self._users(model.name):
                data = self._labels(step)
                own = list(artifact.manifest.labels)
                if step.task.name == artifact.traits.task and data and own and data != own:
                    mistakes.append(Mistake(model.place, f"the labels of {model.source} are {_short(own)}, and those of "
                                            f"the data {_short(data)}", "state the model's order with data.labels"))
        if mistakes:
            raise UsageError(dict.fromkeys(mistakes))

    def _users(self, name: str) -> list[Step]:
        return [s for s in self.plan.steps
                if name in s.references.values() or (s.parent == name and s.entry.cls.accepts.task)]

    def _labels(self, step: Step) -> list[str]:
        if step.data is None:
            return []
        return list(self._prepared(step).labels)

    def _prepared(self, step: Step) -> Prepared:
        assert step.data is not None
        product = self._data_product(step.data, step.task)
        return Prepared(product.folder, product.digest)

    # steps

    def _measure_input(self) -> None:
        """The input model is measured where it serves the recipe's task already: it is then the reference."""
        model = self.records.get(MODEL)
        if model and model.artifact.traits.task == self.plan.task.name and self.plan.data is not None:
            self._measure(MODEL, self.plan.task, self.plan.data)

    def _do_step(self, step: Step) -> None:
        index = list(self.plan.steps).index(step) + 1 if step in self.plan.steps else 0
        self.tell("step_started", step=step.name, stage=step.entry.name, index=index, of=len(self.plan.steps))
        self._make_step(step, index)
        self._measure(step.name, step.task, step.data)
        self._report("running")
        self.tell("step_finished", step=step.name, record=self.records[step.name].summary())
        if step.name == self.plan.reference:
            self._reference_engines()

    def _make_step(self, step: Step, index: int) -> None:
        parent = self.records[step.parent] if step.parent else None
        references = {option: self.records[name] for option, name in step.references.items()}
        data = self._data_product(step.data, step.task) if step.data else None
        ingredients = step_ingredients(step, parent.artifact.digest if parent else None,
                                       {o: r.artifact.digest for o, r in references.items()},
                                       data.digest if data else None, self.plan.fresh)
        job = {"kind": "stage", "stage": step.entry.name, "step": step.name, "options": step.options.model_dump(mode="json"),
               "seed": step.seed, "task": step.task.as_dict(), "traits": asdict(step.traits), "store": str(self.store.root),
               "input": str(parent.artifact.folder) if parent else None,
               "fresh": None if parent else self.plan.fresh,
               "references": {o: str(r.artifact.folder) for o, r in references.items()},
               "data": {"folder": str(data.folder), "digest": data.digest} if data else None}
        product, cached = self._make("artifact", ingredients, job, step.name, step.name)
        place = self.folder.link(index, step.name, product.folder)
        self.records[step.name] = Record(step.name, step.entry.name, place, Artifact.open(product.folder), product.seconds,
                                         cached, step.parent)

    def _make(self, kind: str, ingredients: Mapping[str, Any], job: Mapping[str, Any], name: str,
              step: str) -> tuple[Product, bool]:
        def fill(content: Path, work: Path) -> float:
            start = time.monotonic()
            run_job({**job, "output": str(content), "work": str(work)}, self.folder.job(name), self.folder.log(name),
                    self._message(step))
            return time.monotonic() - start

        return self.store.make(kind, ingredients, fill, lambda who: self.tell(
            "note", text=f"{step}: waiting for {who}, which makes the same"))

    def _message(self, step: str) -> Callable[[Mapping[str, Any]], None]:
        def on_message(message: Mapping[str, Any]) -> None:
            if "progress" in message:
                self.tell("progress", step=step, **message["progress"])
            elif "note" in message:
                self.tell("note", step=step, text=message["note"])

        return on_message

    # measuring

    def _reference_engines(self) -> None:
        """The reference in every other float engine installed, so that an engine's gain and compression's are told apart."""
        for step in conversion_steps(self.plan, self.registry):
            self._make_step(step, 0)
            self._measure(step.name, step.task, step.data)
            self._report("running")

    def _measure(self, name: str, task: TaskChoice, data: DataChoice | None) -> None:
        record = self.records[name]
        others = self._beside(record, task)
        of = {"artifact": record.artifact.digest, "others": {n: self.records[n].artifact.digest for n in others},
              "data": self._data_product(data, task).digest if data else None}
        file = self.folder.measured(name)
        found = Record.read_measured(file, of)
        if found is None:
            self.tell("measuring", step=name)
            subjects = [self._subject(n, task, data) for n in (name, *others)]
            found = measure(subjects[0], subjects[1:], self.registry, self.folder.measuring(name))
            write_json(file, {"of": of, **measured_dict(found)})
        self.records[name] = replace(record, measured=found, task=task.name)

    def _beside(self, record: Record, task: TaskChoice) -> list[str]:
        """Names of what a step takes turns with: the reference, the reference in other engines, the step before."""
        names = [self.plan.reference, *(n for n in self.records if n.startswith(f"{self.plan.reference}@")), record.parent]
        return [n for n in dict.fromkeys(names) if n and n != record.name and n in self.records
                and self.records[n].task == task.name]

    def _subject(self, name: str, task: TaskChoice, data: DataChoice | None) -> Subject:
        record = self.records[name]
        product = self._data_product(data, task) if data else None
        described = {"folder": str(product.folder), "digest": product.digest} if product else None
        return Subject(name, record.artifact.folder, record.artifact.digest, task.as_dict(), described)

    def _report(self, state: str) -> dict[str, Any]:
        report = build_report(self.plan, self.records, state)
        write_views(report, self.folder)
        return report


def conversion_steps(plan: Plan, registry: Registry) -> Sequence[Step]:
    """Steps that turn the reference into each engine's float format, named ``reference@engine``."""
    reference = plan.reference
    owner = plan.step(reference) if reference else None
    traits = owner.traits if owner else (model.traits if reference and (model := plan.input(reference)) else None)
    found = []
    for entry in registry.engines.values():
        stage = registry.stages.get(entry.cls.conversion or "")
        if reference is None or traits is None or stage is None or traits.format in entry.cls.formats:
            continue
        if edge_mistake(stage.cls, traits, reference, plan.task.name, []):
            continue
        options = stage.cls.Options()
        found.append(Step(f"{reference}@{entry.name}", stage, options, plan.task, owner.data if owner else plan.data,
                          plan.seed, reference, {}, stage.cls.produces(traits, options, plan.task.name), ""))
    return found


def _public_source(model: Input) -> str:
    """A hub id as it is; of a folder only its name, since paths of one machine say nothing on another."""
    return model.source if model.from_hub else Path(model.source).name


def _short(names: Sequence[str]) -> str:
    return "[" + ", ".join(names[:6]) + (", ...]" if len(names) > 6 else "]")


def failed(error: CompressError, runner: Runner) -> None:
    """Write the report of a run that stopped at ``error``: what was made before it stays, and is shown."""
    runner.tell("run_failed", text=str(error))
    if runner.records:
        runner._report("failed")
