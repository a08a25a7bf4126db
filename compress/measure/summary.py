"""From samples to measurements and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from compress.errors import listed
from compress.measure.guarded import GuardedMeter, Taken
from compress.measurement import Measured, Measurement, absent
from compress.meter import Sample
from compress.workers.protocol import Subject

SamplesByMeter = Mapping[str, Taken]


def summarise(
    meters: Sequence[GuardedMeter],
    samples: SamplesByMeter,
    subject: Subject,
    known: Mapping[str, Measured],
    disturbed: str = "",
) -> Measured:
    """The measurements and comparisons of a subject. ``known`` holds those of other subjects.
    ``disturbed`` says what disturbed the timings; it is a condition of each of them.

    A quantity that cannot be measured is inherited from the parent if a meter says that it must be
    equal."""
    name = subject.name
    measured = Measured(
        _measurements(meters, samples, name, disturbed),
        {
            other: _comparison(meters, samples, name, other, known, disturbed)
            for other in subject.compared
        },
        {m.name: samples[m.name].samples.get(name, []) for m in meters if m.keeps},
        disturbed=disturbed,
    )
    if subject.parent is None or subject.parent not in known:
        return measured
    parent = known[subject.parent].measurements
    inherited = _with_inherited(meters, measured.measurements, parent, subject.parent)
    return replace(measured, measurements=inherited)


def _measurements(
    meters: Sequence[GuardedMeter], samples: SamplesByMeter, name: str, disturbed: str
) -> dict[str, Measurement]:
    return _by_name(
        [(meter, meter.summarise(samples[meter.name], name)) for meter in meters], disturbed
    )


def _by_name(
    figures: Iterable[tuple[GuardedMeter, Sequence[Measurement]]], disturbed: str
) -> dict[str, Measurement]:
    """What the meters measured, by name. A name that two meters give is absent, with the reason:
    nobody could tell whose figure it is."""
    found: dict[str, Measurement] = {}
    givers: dict[str, GuardedMeter] = {}
    for meter, measurements in figures:
        for m in measurements:
            giver = givers.setdefault(m.name, meter)
            found[m.name] = (
                _stated(m, meter, disturbed) if giver is meter else _claimed(m, giver, meter)
            )
    return found


def _claimed(m: Measurement, *givers: GuardedMeter) -> Measurement:
    meters = listed([giver.entry.called for giver in givers])
    return absent(m.name, m.unit, m.direction, f"the meters {meters} give this name: rename one")


def _stated(m: Measurement, meter: GuardedMeter, disturbed: str) -> Measurement:
    """The measurement, with what disturbed it among its conditions if it is a timing."""
    if not (disturbed and meter.takes_turns and m.value is not None):
        return m
    return replace(m, conditions={**m.conditions, "machine": disturbed})


def _comparison(
    meters: Sequence[GuardedMeter],
    samples: SamplesByMeter,
    name: str,
    other: str,
    known: Mapping[str, Measured],
    disturbed: str,
) -> dict[str, Measurement]:
    """The subject ``name`` against ``other``, by every meter that can compare them."""
    figures = []
    for meter in meters:
        mine = samples[meter.name].samples.get(name)
        theirs = _samples_of(other, meter, samples, known)
        if mine and theirs:
            figures.append((meter, meter.compare(mine, theirs)))
    return _by_name(figures, disturbed)


def _samples_of(
    name: str, meter: GuardedMeter, samples: SamplesByMeter, known: Mapping[str, Measured]
) -> list[Sample]:
    """The samples of a subject to compare with: those taken now, else those that the meter kept
    before. None if the meter does not compare."""
    if not (meter.takes_turns or meter.keeps):
        return []
    taken = samples[meter.name].samples.get(name, [])
    kept = known[name].kept.get(meter.name, []) if name in known else []
    return [dict(sample) for sample in taken or kept]


def _with_inherited(
    meters: Sequence[GuardedMeter],
    own: Mapping[str, Measurement],
    parent: Mapping[str, Measurement],
    parent_name: str,
) -> dict[str, Measurement]:
    """``own`` measurements, completed by those of the parent that meters say must be equal."""
    measurements = dict(own)
    for meter in meters:
        for m in meter.inherit(list(measurements.values()), parent, parent_name):
            measurements[m.name] = m
    return measurements
