"""Making products: what the store has is reused, what it has not is made by a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from compress.artifact import Artifact
from compress.errors import CompressError, UsageError
from compress.machine import versions
from compress.measure import Subject, compare
from compress.planning import DataChoice, Input, Step, TaskChoice
from compress.registry.plugins import Registry
from compress.store.keys import (
    data_ingredients,
    import_ingredients,
    source_name,
    step_ingredients,
)
from compress.store.prepared import Prepared
from compress.store.runfolder import RunFolder
from compress.store.store import Product, Store
from compress.workers.supervisor import run_job


@dataclass
class Products:
    """Makes the products of one run; ``tell(event, **values)`` reports what happens."""

    registry: Registry
    store: Store
    folder: RunFolder
    tell: Callable[..., None]
    _data: dict[str, Product] = field(default_factory=dict)

    def make(
        self,
        kind: str,
        ingredients: Mapping[str, Any],
        job: Mapping[str, Any],
        name: str,
        unchanged: Callable[[], bool] = lambda: True,
    ) -> tuple[Product, bool]:
        """The product of ``ingredients`` and whether it was there; ``job`` makes it, with logs
        under ``name``.

        Raises CompressError where what the job has read is not ``unchanged`` since the ingredients
        were told."""

        def fill(content: Path, work: Path) -> float:
            start = time.monotonic()
            run_job(
                {**job, "output": str(content), "work": str(work)},
                self.folder.job(name),
                self.folder.log(name),
                self._listener(name),
                lambda question: self._compare(question, job, name),
            )
            if not unchanged():
                raise CompressError(
                    f"{name}: files changed while they were read; run again when they stay as they "
                    "are"
                )
            return time.monotonic() - start

        return self.store.make(
            kind,
            ingredients,
            fill,
            lambda who: self.tell("note", text=f"{name}: waiting for {who}, which makes the same"),
        )

    def data(self, data: DataChoice, task: TaskChoice) -> Product:
        """The prepared data of a source for a task. Raises UsageError with every row that cannot be
        used, and with the place of the recipe's data for what is wrong with the whole."""
        name = str((data.as_dict(), task.as_dict()))
        if name not in self._data:
            try:
                self._data[name] = self._prepared(data, task)
            except UsageError as error:
                raise error.placed(data.place) from error
        return self._data[name]

    def _prepared(self, data: DataChoice, task: TaskChoice) -> Product:
        job = {"kind": "prepare", "source": data.as_dict(), "task": task.as_dict()}
        told = data_ingredients(data, task)
        return self.make(
            "data",
            told,
            job,
            f"data-{len(self._data)}",
            lambda: data_ingredients(data, task) == told,
        )[0]

    def prepared(self, data: DataChoice, task: TaskChoice) -> Prepared:
        """The prepared data, opened."""
        product = self.data(data, task)
        return Prepared(product.folder, product.digest)

    def configured(self, fresh: Mapping[str, Any], step: Step) -> Product:
        """The config of a step's fresh model, which was built without memory. Raises UsageError
        where it cannot be built."""
        labels = list(self.prepared(step.data, step.task).labels) if step.data else []
        job = {
            "kind": "configure",
            "fresh": dict(fresh),
            "task": step.task.as_dict(),
            "labels": labels,
        }
        libraries = versions(("compress-toolkit", "torch", "transformers", "huggingface-hub"))
        return self.make(
            "config",
            {**job, "task_plugin": step.task.entry.origin, "libraries": libraries},
            job,
            "model",
        )[0]

    def imported(self, model: Input, label: str) -> tuple[Product, bool]:
        """The artifact of a model from outside and whether it was there; a hub model is fetched
        first.

        Raises UsageError with the model's place in the recipe for a folder that is not a whole
        model's."""
        try:
            return self._imported(model, label)
        except UsageError as error:
            raise error.placed(model.place) from error

    def _imported(self, model: Input, label: str) -> tuple[Product, bool]:
        folder = model.source
        if model.from_hub:
            self.tell("note", text=f"fetching {model.source} from the hub")
            folder = run_job(
                {"kind": "download", "hub": model.source},
                self.folder.job(f"{label}-download"),
                self.folder.log(label),
                self._listener(label),
                _no_answer,
            )["folder"]
        job = {"kind": "import", "folder": folder, "step": model.name, "source": source_name(model)}
        ingredients = import_ingredients(model, Path(folder), self.registry)
        return self.make(
            "artifact",
            ingredients,
            job,
            label,
            lambda: import_ingredients(model, Path(folder), self.registry) == ingredients,
        )

    def step(
        self,
        step: Step,
        parent: Artifact | None,
        references: Mapping[str, Artifact],
        fresh: Mapping[str, Any] | None,
        label: str,
    ) -> tuple[Product, bool]:
        """The artifact of a step, and whether the store had it. ``references`` holds the artifact
        of each option that names one; ``fresh`` is the configuration of a step without a parent.

        The worker's job file and log are named by ``label``."""
        data = self.data(step.data, step.task) if step.data else None
        ingredients = step_ingredients(
            step,
            parent.digest if parent else None,
            {option: artifact.digest for option, artifact in references.items()},
            data.digest if data else None,
            fresh,
            self.registry,
        )
        job = {
            "kind": "stage",
            "stage": step.entry.name,
            "step": step.name,
            "seed": step.seed,
            "options": step.options.model_dump(mode="json"),
            "task": step.task.as_dict(),
            "traits": asdict(step.traits),
            "store": str(self.store.root),
            "input": str(parent.folder) if parent else None,
            "fresh": fresh,
            "references": {option: str(artifact.folder) for option, artifact in references.items()},
            "data": {"folder": str(data.folder), "digest": data.digest} if data else None,
        }
        return self.make("artifact", ingredients, job, label)

    def _compare(
        self, folders: Mapping[str, str], job: Mapping[str, Any], name: str
    ) -> dict[str, Any]:
        """Measurements of unfinished models that a stage asks for, taken in clean processes by the
        one instrument."""
        subjects = [
            Subject(label, Path(folder), job["task"], job["data"])
            for label, folder in folders.items()
        ]
        found = compare(subjects, self.registry, self.folder.measuring(f"{name}-candidates"))
        return {label: measured.as_dict() for label, measured in found.items()}

    def _listener(self, name: str) -> Callable[[Mapping[str, Any]], None]:
        def on_message(message: Mapping[str, Any]) -> None:
            if "progress" in message:
                self.tell("progress", step=name, **message["progress"])
            elif "note" in message:
                self.tell("note", step=name, text=message["note"])

        return on_message


def _no_answer(question: Mapping[str, Any]) -> NoReturn:
    raise CompressError(f"a download asked {dict(question)}, which nobody answers")
