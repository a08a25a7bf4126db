"""The instrument: opens each artifact in a process of its own, and alone decides when a sample is
taken.

Timings are taken in turns (see ``compress.measure.turns``). Other quantities, such as quality and
size, do not depend on the moment: they are sampled from the requested subjects alone, and compared
with samples that were kept of others before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compress.artifact import JsonObject
from compress.measure.guarded import GuardedMeter, MeterFailed, Taken
from compress.measure.kept import KeptSides
from compress.measure.side import Side
from compress.measure.sides import Sides
from compress.measure.summary import SamplesByMeter, summarise
from compress.measure.turns import Pairs, take_turns
from compress.measure.watch import Watch
from compress.measurement import Measured
from compress.meter import Effort
from compress.registry.plugins import Registry
from compress.task import Task
from compress.workers.forking import WorkerServer
from compress.workers.protocol import ProbeArtifact, Subject

Tell = Callable[[float, int, str], None]
"""Called with how many meters have taken their samples, how many there are, and what is done
now."""


def _tell_nobody(done: float, total: int, text: str) -> None:
    """Nobody is told."""


def measure(
    subjects: Sequence[Subject],
    others: Sequence[Subject],
    registry: Registry,
    folder: Path,
    effort: Effort = "standard",
    known: Mapping[str, Measured] | None = None,
    server: WorkerServer | None = None,
    kept: KeptSides | None = None,
    *,
    tell: Tell = _tell_nobody,
) -> dict[str, Measured]:
    """Measurements of the subjects by name. All of them take turns, and so do the ``others``, which
    are only compared with. Job files and logs go into ``folder``. Processes may start from the
    ``server``. Those of the others may be ``kept`` ones, and all are kept then if they fit.
    ``tell`` is told how far it is.

    ``known`` has earlier measurements of the others by name. A parent is among them, or measured
    before its children. The seconds are shared equally among the subjects."""
    start, watch = time.monotonic(), Watch()
    meters = _meters(registry, effort)
    everyone, pairs = [*subjects, *others], _pairs(subjects)
    taking = _Taking(meters, registry, folder, effort, server, kept)
    samples = taking.samples(everyone, pairs, tell, watch)
    measured, disturbed = dict(known or {}), watch.disturbance
    for subject in subjects:
        measured[subject.name] = summarise(meters, samples, subject, measured, disturbed)
    seconds = (time.monotonic() - start) / len(subjects)
    names = [subject.name for subject in subjects]
    return {name: replace(measured[name], seconds=seconds) for name in names}


def compare(
    subjects: Sequence[Subject],
    registry: Registry,
    folder: Path,
    effort: Effort = "quick",
    only: Collection[str] | None = None,
    timings_only: bool = False,
    server: WorkerServer | None = None,
) -> dict[str, Measured]:
    """Measurements of every subject by name, each compared with the first; all take turns. The
    meters in ``only`` measure, by default all."""
    if not subjects:
        return {}
    meters = _meters(registry, effort)
    meters = [m for m in meters if only is None or m.name in only]
    meters = [m for m in meters if m.takes_turns or not timings_only]
    first, *others = subjects
    sides = [first, *(replace(other, compared=(first.name,)) for other in others)]
    taking = _Taking(meters, registry, folder, effort, server)
    samples = taking.samples(sides, _pairs(sides), _tell_nobody, Watch())
    return {side.name: summarise(meters, samples, side, {}) for side in sides}


def predict(
    subject: Subject, folder: Path, server: WorkerServer | None = None
) -> Sequence[JsonObject]:
    """The subject's answer to each row of its split, in order, each answered alone."""
    with Sides([subject], folder, "quick", server) as sides:
        predictions = sides.predictions(subject.name)
        sides.end()
    return predictions


def _pairs(subjects: Sequence[Subject]) -> Pairs:
    return {subject.name: subject.compared for subject in subjects}


def _meters(registry: Registry, effort: Effort) -> list[GuardedMeter]:
    """The meters that work at an effort, in the order of their samples."""
    entries = [entry for entry in registry.meters.values() if effort in entry.cls.efforts]
    return [GuardedMeter(e) for e in sorted(entries, key=lambda e: (e.cls.order, e.name))]


@dataclass(frozen=True)
class _Taking:
    """Samples by ``meters``. Job files and logs of the sides go into ``folder``."""

    meters: Sequence[GuardedMeter]
    registry: Registry
    folder: Path
    effort: Effort
    server: WorkerServer | None
    kept: KeptSides | None = None

    def samples(
        self, subjects: Sequence[Subject], pairs: Pairs, tell: Tell, watch: Watch
    ) -> SamplesByMeter:
        """Samples by meter and subject. Meters that take turns sample all subjects. The others
        sample the keys of ``pairs``, which are the subjects to measure."""
        if not self.meters:
            return {}
        everyone = [subject.name for subject in subjects]
        task = self.registry.tasks[subjects[0].task.name].cls
        count, samples = len(self.meters), {}
        tell(0, count, f"opening {', '.join(everyone)}")
        opened = self._opened(subjects, pairs)
        with Sides(subjects, self.folder, self.effort, self.server, opened) as sides:
            for number, meter in enumerate(self.meters):
                tell(number, count, f"{meter.name} ({number + 1} of {count})")
                if meter.takes_turns:
                    with watch.watching(sides):
                        samples[meter.name] = _taken(
                            meter, task, self.effort, sides, everyone, pairs
                        )
                else:
                    samples[meter.name] = _taken(meter, task, self.effort, sides, list(pairs), {})
            if self.kept is None:
                sides.end()
            else:
                self.kept.keep(sides.let_go())
        return samples

    def _opened(self, subjects: Sequence[Subject], pairs: Pairs) -> dict[str, Side]:
        """The kept processes of the subjects that are only compared with. What is measured has a
        process that has just started."""
        if self.kept is None:
            return {}
        others = [subject for subject in subjects if subject.name not in pairs]
        return self.kept.take(ProbeArtifact(subject, self.effort) for subject in others)


def _taken(
    meter: GuardedMeter,
    task: type[Task[Any]],
    effort: Effort,
    sides: Sides,
    names: Sequence[str],
    pairs: Pairs,
) -> Taken:
    """A meter's samples of the sides in ``names``; none if it has nothing to measure."""
    try:
        if not meter.measures(task):
            return Taken({})
        rounds = meter.rounds(effort)
    except MeterFailed as failure:
        return Taken({}, dict.fromkeys(names, str(failure)))
    return take_turns(meter, rounds, sides, names, pairs)
