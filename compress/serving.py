"""Answering texts with an artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.artifact import MANIFEST, Artifact, Manifest
from compress.engine import Placement, Session
from compress.errors import Mistake, UsageError
from compress.machine import threads
from compress.predict import predict
from compress.pretrained.modelfolder import folder_labels, folder_traits, read_config
from compress.pretrained.specialtokens import default_tokens
from compress.processor import TextProcessor
from compress.registry.plugins import Registry, engine_for, naming_what_is_missing
from compress.sizes import positions
from compress.task import Task

_PAIR = "text_pair"
"""The column of a task that takes pairs of texts; in what such a task is asked, a tab separates the
two."""


@dataclass(frozen=True)
class Predictor:
    """A loaded model; calling it with texts gives one answer for each, in order."""

    artifact: Artifact
    task: Task[Any]
    processor: TextProcessor
    session: Session

    def __call__(
        self, texts: str | Iterable[str | tuple[str, str]], batch_size: int = 32
    ) -> list[dict[str, Any]]:
        """The answers with label names, as the task presents them: a list, with one answer where
        ``texts`` is one text.

        A pair of texts is a tuple among the texts. Raises UsageError for what is no text."""
        rows = self.task.request(self._requests(texts))
        features = self.task.features(rows, self.processor)
        answers = predict(self.session, self.task, self.processor, features, batch_size)
        labels = self.artifact.manifest.labels
        return [
            self.task.present(answer, row, labels)
            for answer, row in zip(answers, rows, strict=True)
        ]

    def _requests(self, texts: object) -> list[str]:
        """The texts as the task is asked, a pair with a tab between its two."""
        if not isinstance(texts, Iterable):
            raise UsageError(f"a list of texts is needed, got {texts!r:.80}")
        asked: list[Any] = [texts] if isinstance(texts, str) else list(texts)
        pairs = any(column.name == _PAIR for column in self.task.columns)
        said = [_wrong(item, pairs, self.task.name) for item in asked]
        mistakes = [Mistake(f"text {i}", wrong) for i, wrong in enumerate(said, start=1) if wrong]
        if mistakes:
            raise UsageError(mistakes)
        return [item if isinstance(item, str) else "\t".join(item) for item in asked]


def _wrong(item: object, pairs: bool, task: str) -> str:
    """What is wrong with something to answer; empty where nothing is."""
    parts = item if isinstance(item, tuple) and len(item) == 2 else (item,)
    if not all(isinstance(part, str) for part in parts):
        return f"got {item!r:.80}, which is neither a text nor a tuple of two texts"
    if any("\ud800" <= letter <= "\udfff" for part in parts for letter in str(part)):
        return "it is not valid Unicode text"
    if len(parts) == 1:
        return ""
    if not pairs:
        return f"it is a pair, and {task} takes single texts"
    if not all(part.strip() for part in parts):
        return "a text of the pair is empty"
    return (
        "the first text of the pair holds a tab, which separates the two"
        if "\t" in parts[0]
        else ""
    )


def open_predictor(folder: Path, registry: Registry) -> Predictor:
    """A predictor for a model folder, with a manifest or from outside. Raises UsageError for one
    without a task."""
    artifact = (
        Artifact.open(folder) if (folder / MANIFEST).is_file() else _outside(folder, registry)
    )
    entry = registry.tasks.get(artifact.traits.task or "")
    if entry is None:
        raise UsageError(
            f"{folder} serves no task that is installed "
            f"({artifact.traits.task or 'it has no head'})"
        )
    task = entry.cls(
        entry.cls.Options.model_validate(_task_options(artifact, entry.cls), strict=False)
    )
    engine = engine_for(registry, artifact.traits.format)
    with naming_what_is_missing(engine.name, engine.extra):
        session = engine.open(artifact, Placement(engine.devices()[0], threads()), task)
    processor = task.processor(folder)
    if not artifact.manifest.files:  # from outside; an import would have named them
        processor.config |= default_tokens(folder, processor.config, processor.tokenizer)
    return Predictor(artifact, task, processor, session)


def _outside(folder: Path, registry: Registry) -> Artifact:
    """A model folder without a manifest as the artifact that an import would make of it; there are
    no digests to verify."""
    traits, labels = folder_traits(folder, registry), folder_labels(folder, registry)
    return Artifact(folder, Manifest(traits, {}, step=folder.name, stage="import", labels=labels))


def _task_options(artifact: Artifact, cls: type[Task[Any]]) -> Mapping[str, Any]:
    """The options that the model was made with; of a model from outside the defaults, within the
    positions it has.

    Raises UsageError where its config says that its head is for something else than these
    options."""
    if artifact.manifest.task_options:
        return artifact.manifest.task_options
    config, options = read_config(artifact.folder), cls.Options()
    unfit = cls(options).head_mistake(config, [])
    if unfit:
        raise UsageError(
            f"the head of {artifact.folder} {unfit}: a model that no recipe has made is answered "
            "with its "
            "task's default options; make a step of it in a recipe that states the task's options"
        )
    limit = positions(config)
    return {} if limit is None else {"max_length": min(options.max_length, limit)}
