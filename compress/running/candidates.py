"""Answers to what a stage asks about its candidates, from the instrument that measures the
steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import CompressError, Mistake, UsageError, listed, suggestion
from compress.measure import Subject, compare, predict
from compress.meter import Effort
from compress.registry.plugins import Registry
from compress.source import SPLITS
from compress.workers.forking import WorkerServer
from compress.workers.protocol import (
    Answer,
    ApplyStage,
    CandidatePredicted,
    CandidatesMeasured,
    ChoiceMade,
    Job,
    MakeChoice,
    MeasureCandidates,
    PredictCandidate,
    Question,
)


@dataclass(frozen=True)
class Candidates:
    """Measures the candidates of one job, each in its own engine and process. Job files and logs go
    into ``folder``. ``choose`` returns the folder of what a choice of the step makes."""

    job: Job
    registry: Registry
    folder: Path
    server: WorkerServer | None
    choose: Callable[[MakeChoice], Path] | None = None

    def answer(self, question: Question) -> Answer:
        """The answer to a stage's question. Raises CompressError."""
        job = self.job
        if not isinstance(job, ApplyStage):
            raise CompressError(f"{type(job).__name__} asked for measurements: only a stage may")
        match question:
            case MakeChoice(name, _, _):
                if self.choose is None or name not in job.choices:
                    known = listed(job.choices) or "none"
                    raise CompressError(
                        f"context.choice: there is no choice {name!r}; there are: {known}"
                    )
                return ChoiceMade(self.choose(question))
            case MeasureCandidates(folders, split, meters, effort, rows):
                _refuse_unknown_split("measure", split)
                self._refuse_unknown(meters, effort)
                subjects = [
                    self._subject(job, name, at, split, rows) for name, at in folders.items()
                ]
                return CandidatesMeasured(
                    compare(
                        subjects, self.registry, self.folder, effort, meters, server=self.server
                    )
                )
            case PredictCandidate(folder, split):
                _refuse_unknown_split("predict", split)
                subject = self._subject(job, "candidate", folder, split)
                return CandidatePredicted(predict(subject, self.folder, self.server))

    def _subject(
        self, job: ApplyStage, name: str, folder: Path, split: str, rows: int | None = None
    ) -> Subject:
        return Subject(name, folder, job.task, job.data, split=split, rows=rows)

    def _refuse_unknown(self, meters: Sequence[str] | None, effort: Effort) -> None:
        """Raise UsageError with each name that is no meter, or one that does not measure at this
        effort."""
        mistakes = []
        for name in meters or ():
            entry = self.registry.meters.get(name)
            if entry is None:
                hint = suggestion(name, self.registry.meters)
                mistakes.append(Mistake("context.measure", f"there is no meter {name!r}", hint))
            elif effort not in entry.cls.efforts:
                works = f"it works at {listed(entry.cls.efforts)}"
                text = f"the meter {name} does not measure at effort {effort}"
                mistakes.append(Mistake("context.measure", text, works))
        if mistakes:
            raise UsageError(mistakes)


def _refuse_unknown_split(method: str, split: str) -> None:
    """Raise UsageError for a word that names no split: it would have no rows."""
    if split not in SPLITS:
        text = f"there is no split {split!r}"
        raise UsageError([Mistake(f"context.{method}", text, suggestion(split, SPLITS))])
