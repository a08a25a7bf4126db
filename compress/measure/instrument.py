"""The instrument: opens each artifact in a process of its own and alone decides when a sample is
taken.

Timings are taken in turns (A B A B ..., then B A B A ...), so that whatever the machine does meets
all sides alike. What is no timing (quality, size) is sampled from the subject only, and compared
with what was kept of the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compress.measurement import Measured, Measurement, finite
from compress.meter import Effort, Meter, Rounds, Sample
from compress.registry.plugins import Registry
from compress.store.files import file_name
from compress.workers.supervisor import Worker, started


@dataclass(frozen=True)
class Subject:
    """An artifact to be measured, by name; ``task`` and ``data`` as a job describes them.

    ``slowdown`` is a share of its time by which each call is prolonged, to see whether that is
    found."""

    name: str
    folder: Path
    task: Mapping[str, Any]
    data: Mapping[str, Any] | None
    slowdown: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A subject whose measurements are wanted, with the names of the sides that it is ``compared``
    with, and of the ``parent`` that it was made from."""

    subject: Subject
    compared: Sequence[str] = ()
    parent: str | None = None


@dataclass(frozen=True)
class Earlier:
    """What is known of an artifact that was measured before: samples that meters kept, and its
    measurements."""

    name: str
    measured: Measured


def measure(
    asked: Sequence[Asked],
    beside: Sequence[Subject],
    registry: Registry,
    folder: Path,
    effort: Effort = "standard",
    earlier: Sequence[Earlier] = (),
) -> dict[str, Measured]:
    """Measurements of the subjects that are ``asked`` for, by name, from one sitting in which all
    sides take turns, those ``beside`` them too; each has an equal share of its seconds. Job files
    and logs go into ``folder``.

    ``earlier`` holds what is known of those beside. A parent stands there, or before its children
    in ``asked``."""
    start = time.monotonic()
    meters = _meters(registry, effort)
    names = [a.subject.name for a in asked]
    samples = _samples(
        meters,
        [*(a.subject for a in asked), *beside],
        names,
        folder,
        effort,
        {a.subject.name: a.compared for a in asked},
    )
    known = {e.name: e.measured for e in earlier}
    for one in asked:
        name, parent = one.subject.name, one.parent
        found = _summary(meters, samples, name, one.compared, known)
        if parent in known:
            found = replace(
                found, measurements=_inherited(meters, found, known[parent].measurements, parent)
            )
        known[name] = found
    seconds = (time.monotonic() - start) / len(asked)
    return {name: replace(known[name], seconds=seconds) for name in names}


def compare(
    subjects: Sequence[Subject],
    registry: Registry,
    folder: Path,
    effort: Effort = "quick",
    timings_only: bool = False,
) -> dict[str, Measured]:
    """Measurements of every subject by name, each with its comparisons with the first; all timings
    are taken in turns."""
    meters = [m for m in _meters(registry, effort) if m.takes_turns or not timings_only]
    names = [s.name for s in subjects]
    samples = _samples(
        meters, subjects, names, folder, effort, {name: names[:1] for name in names[1:]}
    )
    return {
        name: _summary(meters, samples, name, names[:1] if name != names[0] else [], {})
        for name in names
    }


def _meters(registry: Registry, effort: Effort) -> list[Meter]:
    meters = [entry.cls() for entry in registry.meters.values() if effort in entry.cls.efforts]
    return sorted(meters, key=lambda m: (m.order, m.name))


def _samples(
    meters: Sequence[Meter],
    subjects: Sequence[Subject],
    whole: Sequence[str],
    folder: Path,
    effort: Effort,
    compared: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, list[Sample]]]:
    """Samples by meter and subject; what is no timing is sampled from the subjects named in
    ``whole`` only. Timings are taken until the ratios of those that are ``compared`` are known well
    enough."""
    if not meters:
        return {}
    with _Sides(subjects, folder, effort) as sides:
        everyone = [s.name for s in subjects]
        samples = {
            m.name: _sampled(
                m,
                m.rounds(effort),
                sides,
                *((everyone, compared) if m.takes_turns else (whole, {})),
            )
            for m in meters
        }
        sides.end()
    return samples


class _Sides:
    """The processes that hold the subjects. They start together and load one after the other, for a
    load's seconds are measured."""

    def __init__(self, subjects: Sequence[Subject], folder: Path, effort: Effort) -> None:
        self._subjects, self._folder, self._effort = subjects, folder, effort
        self._stack = ExitStack()
        self.workers: dict[str, Worker] = {}

    def __enter__(self) -> _Sides:
        try:
            self._start()
        except BaseException:
            self._stack.close()  # of what did not begin, no end is told
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        for subject in self._subjects:
            name = file_name(subject.name)
            files = self._folder / f"{name}.job.json", self._folder / f"{name}.log"
            self.workers[subject.name] = self._stack.enter_context(
                started(_job(subject, self._effort), *files)
            )
        for worker in self.workers.values():
            worker.answer()
        for worker in self.workers.values():
            worker.ask({"do": "open"})

    def end(self) -> None:
        """End all processes in their own way."""
        for worker in self.workers.values():
            worker.ask({"do": "end"})

    def begin_anew(self) -> None:
        """Other processes in place of these."""
        self.end()
        self._stack.close()
        self._start()


def _job(subject: Subject, effort: Effort) -> dict[str, Any]:
    return {
        "kind": "probe",
        "artifact": str(subject.folder),
        "task": dict(subject.task),
        "effort": effort,
        "data": dict(subject.data) if subject.data else None,
        "slowdown": subject.slowdown,
    }


def _sampled(
    meter: Meter,
    rounds: Rounds,
    sides: _Sides,
    names: Sequence[str],
    compared: Mapping[str, Sequence[str]],
) -> dict[str, list[Sample]]:
    """The samples of every side, taken in turns: A B A B ..., and the other way round in every
    second block.

    No side follows itself, which would find its caches warm, and none is always second: a block's
    sides are made ready in the order of their turns."""
    taken: dict[str, list[Sample]] = {name: [] for name in names}
    start, size = time.monotonic(), rounds.block or rounds.most
    for turn in range(rounds.most):
        order = list(names)[:: 1 if turn // size % 2 == 0 else -1]
        if turn % size == 0:
            if turn and rounds.fresh:
                sides.begin_anew()
            _prepare(
                meter, [sides.workers[name] for name in order], reopen=turn > 0 and not rounds.fresh
            )
        for name in order:
            sample = sides.workers[name].ask({"meter": meter.name, "do": "sample"})["sample"]
            taken[name].append({**sample, "block": turn // size})
        if turn + 1 >= rounds.least and (
            time.monotonic() - start > rounds.seconds
            or _narrow(meter, taken, compared, rounds.width)
        ):
            break
    return taken


def _prepare(meter: Meter, workers: Sequence[Worker], *, reopen: bool) -> None:
    for worker in workers:
        if reopen:
            worker.ask({"do": "reopen"})
        worker.ask({"meter": meter.name, "do": "prepare"})


def _narrow(
    meter: Meter,
    taken: Mapping[str, Sequence[Sample]],
    compared: Mapping[str, Sequence[str]],
    width: float,
) -> bool:
    pairs = [(name, other) for name, others in compared.items() for other in others]
    return all(meter.half_width(taken[name], taken[other]) <= width for name, other in pairs)


def _summary(
    meters: Sequence[Meter],
    samples: Mapping[str, Mapping[str, list[Sample]]],
    subject: str,
    others: Sequence[str],
    known: Mapping[str, Measured],
) -> Measured:
    measurements: dict[str, Measurement] = {}
    comparisons: dict[str, dict[str, Measurement]] = {name: {} for name in others}
    kept: dict[str, list[Sample]] = {}
    for meter in meters:
        own = samples[meter.name][subject]
        measurements.update({m.name: finite(m) for m in meter.summarise(own)})
        if meter.keeps:
            kept[meter.name] = own
        for name in others:
            theirs = samples[meter.name].get(name) or (
                known[name].kept.get(meter.name) if name in known else None
            )
            if theirs and (meter.takes_turns or meter.keeps):
                comparisons[name].update(
                    {m.name: finite(m) for m in meter.compare(own, [dict(s) for s in theirs])}
                )
    return Measured(measurements, comparisons, kept)


def _inherited(
    meters: Sequence[Meter], found: Measured, parent: Mapping[str, Measurement], name: str
) -> dict[str, Measurement]:
    measurements = dict(found.measurements)
    for meter in meters:
        measurements.update(
            {m.name: m for m in meter.inherit(list(measurements.values()), parent, name)}
        )
    return measurements
