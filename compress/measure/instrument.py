"""The instrument: opens each artifact in a process of its own, and alone decides when a sample is
taken.

Timings are taken in turns (see ``compress.measure.turns``). Other quantities, such as quality and
size, do not depend on the moment: they are sampled from the requested subjects alone, and compared
with samples that were kept of others before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from compress.measure.sides import Sides
from compress.measure.subjects import Request, Subject
from compress.measure.summary import SamplesByMeter, summarise
from compress.measure.turns import Pairs, take_turns
from compress.measurement import Measured
from compress.meter import Effort, Meter
from compress.registry.plugins import Registry


def measure(
    requests: Sequence[Request],
    others: Sequence[Subject],
    registry: Registry,
    folder: Path,
    effort: Effort = "standard",
    known: Mapping[str, Measured] | None = None,
) -> dict[str, Measured]:
    """Measurements of the requested subjects by name. All of them take turns, and so do the
    ``others``, which are only compared with. Job files and logs go into ``folder``.

    ``known`` has earlier measurements of the others by name. A parent is among them, or requested
    before its children. The seconds are shared equally among the requested subjects."""
    start = time.monotonic()
    meters = _meters(registry, effort)
    requested = [request.subject for request in requests]
    pairs = {request.subject.name: request.compared for request in requests}
    samples = _samples(meters, [*requested, *others], pairs, folder, effort)
    measured = dict(known or {})
    for request in requests:
        measured[request.subject.name] = summarise(meters, samples, request, measured)
    seconds = (time.monotonic() - start) / len(requests)
    return {name: replace(measured[name], seconds=seconds) for name in pairs}


def compare(
    subjects: Sequence[Subject],
    registry: Registry,
    folder: Path,
    effort: Effort = "quick",
    timings_only: bool = False,
) -> dict[str, Measured]:
    """Measurements of every subject by name, each compared with the first; all take turns."""
    meters = [m for m in _meters(registry, effort) if m.takes_turns or not timings_only]
    first = subjects[0].name
    requests = [Request(subject, [] if subject.name == first else [first]) for subject in subjects]
    pairs = {request.subject.name: request.compared for request in requests}
    samples = _samples(meters, subjects, pairs, folder, effort)
    return {request.subject.name: summarise(meters, samples, request, {}) for request in requests}


def _meters(registry: Registry, effort: Effort) -> list[Meter]:
    """The meters that work at an effort, in the order of their samples."""
    meters = [entry.cls() for entry in registry.meters.values() if effort in entry.cls.efforts]
    return sorted(meters, key=lambda m: (m.order, m.name))


def _samples(
    meters: Sequence[Meter],
    subjects: Sequence[Subject],
    pairs: Pairs,
    folder: Path,
    effort: Effort,
) -> SamplesByMeter:
    """Samples by meter and subject. Meters that take turns sample all subjects. The others sample
    the keys of ``pairs``, which are the subjects to measure."""
    if not meters:
        return {}
    everyone = [subject.name for subject in subjects]
    samples = {}
    with Sides(subjects, folder, effort) as sides:
        for meter in meters:
            rounds = meter.rounds(effort)
            if meter.takes_turns:
                samples[meter.name] = take_turns(meter, rounds, sides, everyone, pairs)
            else:
                samples[meter.name] = take_turns(meter, rounds, sides, list(pairs), {})
        sides.end()
    return samples
