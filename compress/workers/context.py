"""The context that a stage works with inside a worker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from compress.architecture import Architecture
from compress.artifact import Artifact, JsonObject, Traits
from compress.measurement import Measured
from compress.meter import Effort
from compress.ranks import Ranks
from compress.registry.models import ModelOrigins
from compress.stage import Candidate, Data
from compress.store.store import Ingredients, Store
from compress.task import Prediction, Task
from compress.workers.channel import WorkerLine
from compress.workers.failures import error_of
from compress.workers.protocol import (
    CandidatePredicted,
    CandidatesMeasured,
    ChoiceMade,
    Failed,
    MakeChoice,
    MeasureCandidates,
    Message,
    Note,
    PredictCandidate,
    Progress,
    Question,
)

T = TypeVar("T")

_SECONDS_BETWEEN_PROGRESS = 0.2
"""Faster than this nobody can read it."""


@dataclass
class WorkerContext:
    """The context of a stage, as ``compress.stage.Context`` describes it.

    ``write_manifest(candidate)`` makes an artifact of a model that the stage wrote. What it has
    stored depends on ``task_plugin``, the distribution of its task with its version, and on
    ``models``, the plugins that bring the models it works with."""

    options: Any
    seed: int
    input: Artifact | None
    fresh: JsonObject | None
    references: Mapping[str, Artifact]
    task: Task[Any]
    task_plugin: str
    architectures: Sequence[type[Architecture]]
    data: Data | None
    unlabelled: Mapping[str, Data]
    output: Path
    work: Path
    store: Store
    line: WorkerLine
    ranks: Ranks
    write_manifest: Callable[[Candidate], None]
    models: ModelOrigins
    earlier: Mapping[str, Measured]
    choices: Mapping[str, Traits] = field(default_factory=dict)
    _chosen: dict[str, Artifact] = field(default_factory=dict)
    _tried: list[Artifact] = field(default_factory=list)
    _is_making: bool = False
    _last_progress: float = 0.0
    _last_text: str = ""

    @property
    def rank(self) -> int:
        """This process's number among those that do the step."""
        return self.ranks.rank

    @property
    def world(self) -> int:
        """How many processes do the step."""
        return self.ranks.world

    def first(self, make: Callable[[], T]) -> T:
        """What ``make()`` returns on rank 0, which alone calls it. What ``make`` calls of this
        context is rank 0's alone too: the others wait for the outer call."""
        if self._is_making:
            return make()

        def alone() -> T:
            self._is_making = True
            try:
                return make()
            finally:
                self._is_making = False

        return self.ranks.first(alone)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        return self.ranks.gather(value)

    def progress(
        self,
        done: float,
        total: float,
        text: str = "",
        remaining: float | None = None,
        **values: float,
    ) -> None:
        """Show the user how far the stage is. Of calls in quick succession with one text, only the
        first is shown. Rank 0 speaks for all."""
        if self.rank > 0:
            return
        now = time.monotonic()
        is_soon = now - self._last_progress < _SECONDS_BETWEEN_PROGRESS
        if is_soon and done < total and text == self._last_text:
            return
        self._last_progress, self._last_text = now, text
        self.line.send(Progress(done, total, text, values, remaining))

    def note(self, text: str) -> None:
        """Show the user one line that stays visible. Rank 0 speaks for all."""
        if self.rank == 0:
            self.line.send(Note(text))

    def measure(
        self,
        candidates: Mapping[str, Candidate],
        split: str = "validation",
        meters: Collection[str] | None = None,
        effort: Effort = "quick",
        rows: int | None = None,
    ) -> Mapping[str, Measured]:
        """Measurements of the candidates by name, each with its ratios to the first; timings are
        taken in turns. Rank 0 asks for all."""
        named = None if meters is None else tuple(meters)

        def measured() -> Mapping[str, Measured]:
            folders = {name: self._described(candidate) for name, candidate in candidates.items()}
            answer = self._ask(MeasureCandidates(folders, split, named, effort, rows))
            assert isinstance(answer, CandidatesMeasured), answer
            return answer.measured

        return self.first(measured)

    def choice(self, name: str, of: Candidate | None = None) -> Artifact:
        """What the choice of that name makes of the step's input, or of a candidate. Rank 0 asks
        for all."""
        # Rank 0 alone looks whether it has it: what it chose within ``first`` others do not know.
        folder = self.first(partial(self._choose, name, of))
        if of is not None:
            self._tried.append(Artifact.open(folder))
            return self._tried[-1]
        if name not in self._chosen:
            self._chosen[name] = Artifact.open(folder)
        return self._chosen[name]

    def _choose(self, name: str, of: Candidate | None = None) -> Path:
        if of is None and name in self._chosen:
            return self._chosen[name].folder
        question = MakeChoice(name)
        if of is not None:
            into = self.work / "choices" / str(len(self._tried))
            shutil.rmtree(into, ignore_errors=True)  # of a try that was killed
            question = MakeChoice(name, self._described(of), into)
        answer = self._ask(question)
        assert isinstance(answer, ChoiceMade), answer
        return answer.folder

    def predict(self, candidate: Candidate, split: str = "validation") -> list[Prediction]:
        """The candidate's answer to each row of the split, in order. Rank 0 asks for all."""
        return self.first(lambda: self._predicted(candidate, split))

    def _predicted(self, candidate: Candidate, split: str) -> list[Prediction]:
        answer = self._ask(PredictCandidate(self._described(candidate), split))
        assert isinstance(answer, CandidatePredicted), answer
        return [dict(prediction) for prediction in answer.predictions]

    def _described(self, candidate: Candidate) -> Path:
        """The candidate's folder, with a manifest. One that the context gave has its own."""
        artifacts = (
            self.input,
            *self.references.values(),
            *self._chosen.values(),
            *self._tried,
        )
        given = [each.folder for each in artifacts if each]
        if candidate.folder not in given:
            self.write_manifest(candidate)
        return candidate.folder

    def _ask(self, question: Question) -> Message:
        """The supervisor's answer. Raises the error that it has in its place."""
        self.line.send(question)
        answer = self.line.receive()
        if isinstance(answer, Failed):
            raise error_of(answer, self.work)
        return answer

    def product(self, kind: str, ingredients: JsonObject, make: Callable[[Path], None]) -> Path:
        """The folder of a product of the store, which ``make(folder)`` fills if it is not there
        yet. Rank 0 makes it for all. What a task makes of rows and outputs is its plugin's code,
        whose version is in the key."""
        return self.first(lambda: self._product(kind, ingredients, make))

    def _product(self, kind: str, ingredients: JsonObject, make: Callable[[Path], None]) -> Path:
        def fill(content: Path, work: Path) -> float:
            start = time.monotonic()
            make(content)
            return time.monotonic() - start

        product, _ = self.store.make(
            Ingredients(
                kind,
                {
                    "kind": kind,
                    "task_plugin": self.task_plugin,
                    "models": self.models,
                    **ingredients,
                },
            ),
            fill,
            lambda holder: self.note(f"waiting for {holder}, which makes the same {kind}"),
        )
        return product.folder
