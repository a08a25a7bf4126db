"""A model that is no network: a stage counts labels, an engine answers with the most frequent one,
and a meter counts right answers. A format and a measurement of its own, and no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer, models

from compress import hookimpl
from compress.architecture import Architecture
from compress.artifact import Artifact, Traits
from compress.engine import Engine, Placement, Session
from compress.measurement import Measurement
from compress.meter import Meter, Probe, Sample
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress.task import Task

FILE = "counts.json"


class Count(Stage[Options]):
    """Counts how often each label occurs in the training rows."""

    name: ClassVar[str] = "count.labels"
    summary: ClassVar[str] = "Counts the labels of the training rows."
    accepts: ClassVar[Accepts] = Accepts(nothing=True)
    libraries: ClassVar[tuple[str, ...]] = ()
    needs_data: ClassVar[tuple[str, ...]] = ("train",)

    @classmethod
    def produces(cls, traits: Traits, options: Options, task: str) -> Traits:
        """A model of the format ``counts``."""
        return Traits(format="counts", trainable=False, task=task)

    def apply(self, context: Context[Options]) -> Made:
        """Write the counts, and a tokenizer of one token."""
        assert context.data is not None
        counts = np.bincount([row["label"] for row in context.data.rows("train")])
        (context.output / FILE).write_text(json.dumps(counts.tolist()), encoding="utf-8")
        tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        tokenizer.save(str(context.output / "tokenizer.json"))
        return Made(parameters=len(counts))


class CountsSession:
    """Answers each example with the counts."""

    inputs: tuple[str, ...] = ("input_ids",)

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = np.array(counts, dtype=np.float32)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``logits`` [examples, labels]: the counts for each example."""
        return {"logits": np.tile(self._counts, (len(batch["input_ids"]), 1))}


class Counts(Engine):
    """Opens the format ``counts``."""

    name: ClassVar[str] = "counts"
    summary: ClassVar[str] = "The most frequent label."
    formats: ClassVar[tuple[str, ...]] = ("counts",)
    packages: ClassVar[tuple[str, ...]] = ()

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session that answers with the artifact's counts."""
        counts = json.loads((artifact.folder / FILE).read_text(encoding="utf-8"))
        return CountsSession(counts)


class Right(Meter):
    """The number of right answers."""

    name: ClassVar[str] = "right"
    summary: ClassVar[str] = "Right answers."

    def sample(self, probe: Probe) -> Sample:
        """Right answers, and how many rows were asked."""
        batch = probe.task.collate(probe.features, probe.processor)
        answers = probe.session.run(batch)["logits"].argmax(axis=1)
        right = int((answers == [row["label"] for row in probe.rows]).sum())
        return {"right": right, "n": len(probe.rows)}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        """The measurement ``right``."""
        only = samples[0]
        return [
            Measurement("right", only["right"], "answers", "higher", n=only["n"], title="right")
        ]


class Family(Architecture):
    """The family ``counts``, for ``model: {type: counts}``."""

    name: ClassVar[str] = "counts"
    summary: ClassVar[str] = "Models that count labels."
    model_types: ClassVar[tuple[str, ...]] = ("counts",)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``count.labels``."""
    return [Count]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine ``counts``."""
    return [Counts]


@hookimpl
def compress_meters() -> list[type[Meter]]:
    """The meter ``right``."""
    return [Right]


@hookimpl
def compress_architectures() -> list[type[Architecture]]:
    """The family ``counts``."""
    return [Family]
