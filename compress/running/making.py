"""Making products: what the store has is reused, the rest is made by a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from compress.artifact import Artifact, JsonObject
from compress.errors import CompressError, UsageError
from compress.measurement import Measured
from compress.planning import DataChoice, Input, Step, TaskChoice
from compress.registry.plugins import Registry
from compress.running.candidates import Candidates
from compress.running.events import PHASE
from compress.store.keys import (
    Given,
    config_ingredients,
    data_ingredients,
    earlier_numbers,
    import_ingredients,
    source_name,
    step_ingredients,
    unlabelled_ingredients,
)
from compress.store.prepared import Prepared
from compress.store.runfolder import RunFolder
from compress.store.store import Ingredients, Product, Store, key_of
from compress.workers.forking import WorkerServer
from compress.workers.protocol import (
    ApplyStage,
    Chosen,
    ConfigureModel,
    DownloadModel,
    Finished,
    ForUser,
    ImportModel,
    Job,
    MakeChoice,
    OpenArtifact,
    PrepareData,
    Progress,
)
from compress.workers.supervisor import Watch, run_job
from compress.workers.team import Team

JobIn = Callable[[Path, Path], Job]
"""The job that makes a product in a folder (the first), with a folder for its work."""


@dataclass
class Products:
    """Makes the products of one run; ``emit(event, **values)`` reports what happens. Workers may
    start from the ``server``. What several processes do, the machines of the ``team`` do too."""

    registry: Registry
    store: Store
    folder: RunFolder
    emit: Callable[..., None]
    server: WorkerServer | None = None
    team: Team | None = None
    _data: dict[str, Product] = field(default_factory=dict)

    def make(
        self,
        ingredients: Ingredients,
        job_in: JobIn,
        name: str,
        unchanged: Callable[[], bool] = lambda: True,
        phase: str = "",
        choose: Callable[[MakeChoice], Path] | None = None,
    ) -> tuple[Product, bool]:
        """The product of ``ingredients``, and whether the store had it. Otherwise a worker makes
        it, with a job file and a log under ``name``; the user sees the ``phase``, if it is given,
        and what it took. ``choose`` makes what the job's stage may choose from.

        Raises CompressError if what the job read is not ``unchanged`` since the ingredients were
        computed."""

        def fill(content: Path, work: Path) -> float:
            start = time.monotonic()
            if phase:
                self.emit(PHASE, text=phase, seconds=None)
            job = job_in(content, work)
            done = self._run(job, name, choose=choose)
            if isinstance(job, ApplyStage) and not done.opened:
                self._open(job, name)
            if phase:
                self.emit(PHASE, text=phase, seconds=time.monotonic() - start)
            if not unchanged():
                raise CompressError(
                    f"{name}: files changed while they were read; run again when they stay as they "
                    "are"
                )
            return time.monotonic() - start

        return self.store.make(
            ingredients,
            fill,
            lambda holder: self.emit(
                "note", text=f"{name}: waiting for {holder}, which makes the same"
            ),
        )

    def data(self, data: DataChoice, task: TaskChoice, targets: bool = True) -> Product:
        """The prepared data of a source for a task; without ``targets`` only what it reads.

        Raises UsageError with every row that cannot be used. A mistake without a row gets the place
        of the recipe's ``data``."""
        key = key_of({"data": data.as_dict(), "task": task.as_dict(), "targets": targets})
        if key not in self._data:
            try:
                self._data[key] = self._prepare(data, task, targets)
            except UsageError as error:
                raise error.placed(data.place) from error
        return self._data[key]

    def _prepare(self, data: DataChoice, task: TaskChoice, targets: bool) -> Product:
        ingredients_of = data_ingredients if targets else unlabelled_ingredients
        ingredients = ingredients_of(data, task)
        product, _ = self.make(
            ingredients,
            lambda output, work: PrepareData(
                Chosen.of(data), Chosen.of(task), output, data.seed, targets
            ),
            f"data-{len(self._data)}",
            lambda: ingredients_of(data, task) == ingredients,
            f"preparing the data for {task.entry.name}",
        )
        return product

    def prepared(self, data: DataChoice, task: TaskChoice, targets: bool = True) -> Prepared:
        """The prepared data, opened."""
        product = self.data(data, task, targets)
        return Prepared(product.folder, product.digest)

    def configured(self, fresh: JsonObject, step: Step) -> Product:
        """The whole config of a step's fresh model, from a model built without memory. Raises
        UsageError if it cannot be built."""
        labels = self.prepared(step.data, step.task).labels if step.data else ()
        product, _ = self.make(
            config_ingredients(fresh, step.task, labels, self.registry),
            lambda output, work: ConfigureModel(fresh, Chosen.of(step.task), labels, output),
            "model",
            phase=f"building the configuration of {step.name}",
        )
        return product

    def imported(self, model: Input, label: str) -> tuple[Product, bool]:
        """The artifact of a model from outside, and whether the store had it; a hub model is
        downloaded first.

        Raises UsageError with the model's place in the recipe for a folder that does not hold a
        whole model."""
        try:
            return self._import(model, self._model_folder(model, label), label)
        except UsageError as error:
            raise error.placed(model.place) from error

    def _model_folder(self, model: Input, label: str) -> Path:
        if not model.from_hub:
            return Path(model.source)
        self.emit("note", text=f"fetching {model.source} from the hub")
        done = self._run(DownloadModel(model.source), f"{label}-download", label)
        assert done.folder is not None  # a download gives one
        return done.folder

    def _import(self, model: Input, folder: Path, label: str) -> tuple[Product, bool]:
        ingredients = import_ingredients(model, folder, self.registry)
        return self.make(
            ingredients,
            lambda output, work: ImportModel(
                folder, model.name, source_name(model), output, model.tasks
            ),
            label,
            lambda: import_ingredients(model, folder, self.registry) == ingredients,
            f"importing {model.name}",
        )

    def step(
        self,
        step: Step,
        parent: Artifact | None,
        references: Mapping[str, Artifact],
        fresh: JsonObject | None,
        label: str,
        phase: str = "",
        earlier: Mapping[str, Measured] | None = None,
    ) -> tuple[Product, bool]:
        """The artifact of a step, and whether the store had it. ``references`` holds the artifact
        of each option that names one; ``fresh`` is the configuration of a step without a parent.
        ``phase`` is shown while it is made. ``earlier`` is what was measured of the steps before.

        The worker's job file and log are named by ``label``."""
        given = Given(
            parent,
            fresh,
            references,
            data=self.prepared(step.data, step.task) if step.data else None,
            unlabelled={
                option: self.prepared(choice, step.task, targets=False)
                for option, choice in step.unlabelled.items()
            },
            earlier=earlier_numbers(earlier or {}) if step.entry.cls.reads_earlier else {},
        )
        return self._step(step, given, label, phase)

    def _step(self, step: Step, given: Given, label: str, phase: str) -> tuple[Product, bool]:
        return self.make(
            step_ingredients(step, given, self.registry),
            partial(self._job, step, given),
            label,
            phase=phase,
            choose=partial(self._choice, step, given, label),
        )

    def _job(self, step: Step, given: Given, output: Path, work: Path) -> ApplyStage:
        """What a worker does to make a step in the folder ``output``."""
        return ApplyStage(
            stage=step.entry.name,
            step=step.name,
            seed=step.seed,
            options=step.options.model_dump(mode="json"),
            task=Chosen.of(step.task),
            traits=step.traits,
            store=self.store,
            input=given.parent.folder if given.parent else None,
            fresh=given.fresh,
            references={option: one.folder for option, one in given.references.items()},
            data=given.data,
            output=output,
            work=work,
            processes=step.processes,
            earlier=given.earlier,
            unlabelled=given.unlabelled,
            choices={name: choice.traits for name, choice in step.choices.items()},
        )

    def _choice(self, step: Step, given: Given, label: str, asked: MakeChoice) -> Path:
        """The folder of what a step may choose, made of the step's input or of a candidate."""
        choice = step.choices[asked.name]
        number = list(step.choices).index(asked.name) + 1
        own = f"{label}-choice-{number}"
        if asked.of is None or asked.into is None:
            made, _ = self._step(choice, given.of_choice(), own, f"making {asked.name}")
            return made.folder
        output, work = asked.into / "model", asked.into / "work"
        for folder in (output, work):
            folder.mkdir(parents=True)
        candidate = replace(given.of_choice(), parent=Artifact.open(asked.of))
        job = self._job(choice, candidate, output, work)
        # What it would share with others goes with it: no other step has this input.
        self._run(replace(job, store=Store(asked.into / "store")), own)
        return output

    def _run(
        self,
        job: Job,
        name: str,
        log_name: str = "",
        choose: Callable[[MakeChoice], Path] | None = None,
    ) -> Finished:
        """Let a worker do the job. Its job file is named by ``name``, its log by ``log_name`` or
        else by ``name``."""
        shown_as = log_name or name
        watch: Watch = nullcontext
        if self.team is not None and isinstance(job, ApplyStage) and job.processes > 1:
            job, watch = self.team.share(job, name), self.team.watching
        return run_job(
            job,
            self.folder.job(name),
            self.folder.log(shown_as),
            lambda message: self._show(message, shown_as),
            Candidates(
                job,
                self.registry,
                self.folder.measuring(f"{name}-candidates"),
                self.server,
                choose,
            ).answer,
            self.server,
            watch,
        )

    def _open(self, job: ApplyStage, name: str) -> None:
        """Open in its engine what a stage has made, in a process of its own."""
        made_by = self.registry.stages[job.stage].called
        self._run(OpenArtifact(job.output, job.task, made_by), f"{name}-opening", name)

    def _show(self, message: ForUser, name: str) -> None:
        if isinstance(message, Progress):
            self.emit(
                "progress",
                step=name,
                done=message.done,
                total=message.total,
                text=message.text,
                values=dict(message.values),
                remaining=message.remaining,
            )
        else:
            self.emit("note", step=name, text=message.text)
