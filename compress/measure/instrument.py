"""The instrument: opens each artifact in a process of its own and alone decides when a sample is taken.

Timings are taken in turns (A B, B A, A B, ...), so that whatever the machine does meets all sides alike; what is no
timing (quality, size) is sampled from the subject only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.measurement import Measured, Measurement
from compress.meter import Meter, Sample
from compress.plugins import Registry
from compress.supervisor import Worker, started


@dataclass(frozen=True)
class Subject:
    """An artifact to be measured, by name; ``task`` and ``data`` as a job describes them."""

    name: str
    folder: Path
    task: Mapping[str, Any]
    data: Mapping[str, Any] | None


def measure(subject: Subject, others: Sequence[Subject], registry: Registry, folder: Path) -> Measured:
    """Measurements of ``subject`` and its ratios to ``others``; job files and logs go into ``folder``."""
    meters = _meters(registry)
    samples = _samples(meters, [subject, *others], [subject.name], folder)
    return _summary(meters, samples, subject.name, [s.name for s in others])


def compare(subjects: Sequence[Subject], registry: Registry, folder: Path) -> dict[str, Measured]:
    """Measurements of every subject by name, each with its ratios to the first; all timings are taken in turns."""
    meters, names = _meters(registry), [s.name for s in subjects]
    samples = _samples(meters, subjects, names, folder)
    return {name: _summary(meters, samples, name, names[:1] if name != names[0] else []) for name in names}


def _meters(registry: Registry) -> list[Meter]:
    return sorted((entry.cls() for entry in registry.meters.values()), key=lambda m: (m.order, m.name))


def _samples(meters: Sequence[Meter], subjects: Sequence[Subject], whole: Sequence[str],
             folder: Path) -> dict[str, dict[str, list[Sample]]]:
    """Samples by meter and subject; what is no timing is sampled from the subjects named in ``whole`` only."""
    if not meters:
        return {}
    with ExitStack() as stack:
        # All start at once: loading is the slow part, and nothing is timed before every one is ready.
        workers = {s.name: stack.enter_context(started(_job(s), folder / f"{s.name}.job.json", folder / f"{s.name}.log"))
                   for s in subjects}
        for worker in workers.values():
            worker.answer()
        samples = _sampled(meters, workers, whole)
        for worker in workers.values():
            worker.ask({"do": "end"})
    return samples


def _job(subject: Subject) -> dict[str, Any]:
    return {"kind": "probe", "artifact": str(subject.folder), "task": dict(subject.task),
            "data": dict(subject.data) if subject.data else None}


def _sampled(meters: Sequence[Meter], workers: Mapping[str, Worker],
             whole: Sequence[str]) -> dict[str, dict[str, list[Sample]]]:
    found: dict[str, dict[str, list[Sample]]] = {}
    for meter in meters:
        sides = list(workers) if meter.takes_turns else list(whole)
        taken: dict[str, list[Sample]] = {name: [] for name in sides}
        for name in sides:
            workers[name].ask({"meter": meter.name, "do": "prepare"})
        for turn in range(meter.rounds):
            for name in sides if turn % 2 == 0 else reversed(sides):
                taken[name].append(workers[name].ask({"meter": meter.name, "do": "sample"})["sample"])
        found[meter.name] = taken
    return found


def _summary(meters: Sequence[Meter], samples: Mapping[str, Mapping[str, list[Sample]]], subject: str,
             others: Sequence[str]) -> Measured:
    measurements: dict[str, Measurement] = {}
    ratios: dict[str, dict[str, Measurement]] = {name: {} for name in others}
    predictions: Sequence[Mapping[str, Any]] = ()
    for meter in meters:
        own = samples[meter.name][subject]
        measurements.update({m.name: m for m in meter.summarise(own)})
        predictions = own[0].get("predictions", predictions) if own else predictions
        for name in others if meter.takes_turns else ():
            ratios[name].update({m.name: m for m in meter.compare(own, samples[meter.name][name])})
    return Measured(measurements, ratios, predictions)
