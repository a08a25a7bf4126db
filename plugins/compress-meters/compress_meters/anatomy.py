"""``anatomy``: counts that are equal on every machine: parameters by part,
multiply-accumulates, stored elements, and how many of them are not zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import ClassVar

from compress.engine import Engine
from compress.measurement import Measurement, absent
from compress.meter import Effort, Meter, Probe, Sample
from compress_meters.stored import Stored

LENGTH = 128
"""Tokens of the example whose multiply-accumulates are counted."""

PARTS = ("embeddings", "layers", "head")
BY_DTYPE = "stored by dtype"
INHERITED = "inherited from"


class Anatomy(Meter):
    """Counts of a model. It is the last meter, because it runs the model in another way and
    reads all its weights."""

    name: ClassVar[str] = "anatomy"
    summary: ClassVar[str] = (
        "Parameters by part, multiply-accumulates, stored elements and the share that is not zero"
    )
    efforts: ClassVar[tuple[Effort, ...]] = ("standard", "thorough")
    order: ClassVar[int] = 90

    def sample(self, probe: Probe) -> Sample:
        """``counts`` (None where the engine cannot count), and ``stored``: elements and
        bytes by dtype, and the ``share`` of weights that are not zero."""
        if probe.runtime is None:
            return {"absent": "no engine opened this model"}
        counts = probe.runtime.counts(probe.session, probe.task, LENGTH)
        return {
            "counts": asdict(counts) if counts else None,
            "stored": _stored(probe.runtime, probe),
            "engine": probe.engine,
        }

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """``parameters_embeddings``, ``parameters_layers``, ``parameters_head``, ``macs``,
        ``nonzero`` and ``stored_elements``."""
        sample = samples[0]
        if "absent" in sample:
            return [
                *_uncounted(sample["absent"]),
                absent("nonzero", "share", "neither", sample["absent"]),
                absent("stored_elements", "elements", "neither", sample["absent"]),
            ]
        if sample["counts"] is None:
            counted = _uncounted(f"the {sample['engine']} engine does not count this model's")
        else:
            counted = _counted(sample["counts"])
        return [*counted, *_of_stored(sample["stored"])]

    def inherit(
        self, own: Sequence[Measurement], parent: Mapping[str, Measurement], name: str
    ) -> list[Measurement]:
        """``own``, with the parent's parameters by part and multiply-accumulates if the
        artifact's engine cannot count them. Only if both have the same number of
        parameters: an export and int8 weights change neither count."""
        if not _same_parameters(own, parent):
            return list(own)
        counted = {n: m for n, m in parent.items() if n in _COUNTED and m.value is not None}
        filled = []
        for m in own:
            inherits = m.value is None and m.name in counted
            filled.append(_from(counted[m.name], name) if inherits else m)
        return filled


def _same_parameters(own: Sequence[Measurement], parent: Mapping[str, Measurement]) -> bool:
    """Whether both have a number of parameters, and it is the same."""
    mine = next((m.value for m in own if m.name == "parameters"), None)
    return mine is not None and "parameters" in parent and parent["parameters"].value == mine


_COUNTED = (*(f"parameters_{part}" for part in PARTS), "macs")


def _from(measurement: Measurement, name: str) -> Measurement:
    """The parent's measurement, labelled with the artifact that was measured."""
    return replace(measurement, conditions={INHERITED: name, **measurement.conditions})


def _stored(engine: Engine, probe: Probe) -> Sample:
    stored = Stored()
    for name, values in engine.weights(probe.artifact):
        stored.add(name, values)
    return {"dtypes": stored.dtypes, "share": stored.share(), "unresolved": stored.unresolved()}


def _counted(counts: Sample) -> list[Measurement]:
    parts = [
        Measurement(
            f"parameters_{part}",
            counts["parameters"][part],
            "parameters",
            "lower",
            n=1,
            conditions={"counted": "in the float model, shared ones once"},
        )
        for part in PARTS
    ]
    return [
        *parts,
        Measurement(
            "macs",
            counts["macs"],
            "MACs",
            "lower",
            n=1,
            conditions={"length": counts["length"], "batch": 1, "counted": "eager attention"},
        ),
    ]


def _uncounted(why: str) -> list[Measurement]:
    return [
        *(absent(f"parameters_{part}", "parameters", "lower", why) for part in PARTS),
        absent("macs", "MACs", "lower", why),
    ]


def _of_stored(stored: Sample) -> list[Measurement]:
    elements = sum(row["elements"] for row in stored["dtypes"].values())
    everything = Measurement(
        "stored_elements",
        elements,
        "elements",
        "neither",
        n=1,
        detail={"tables": {BY_DTYPE: stored["dtypes"]}},
    )
    return [_nonzero(stored), everything]


def _nonzero(stored: Sample) -> Measurement:
    """The share of weights that are not zero."""
    if stored["share"] is None:
        why = "the artifact stores no weights that its engine can read"
        return absent("nonzero", "share", "neither", why)
    zero = "their zero point"
    if stored["unresolved"]:
        zero += f"; 0 in {stored['unresolved']} tensors with several zero points"
    conditions = {"tensors": "float and 8-bit integer", "zero of 8-bit integers": zero}
    return Measurement("nonzero", stored["share"], "share", "neither", n=1, conditions=conditions)
