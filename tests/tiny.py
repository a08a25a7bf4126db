"""Tiny BERTs with a tokenizer of 21 words, data for them, and stages applied in this process."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedModel

from compress.artifact import Artifact, Manifest, Traits, digest_files, sha256_file
from compress.models import fresh_model
from compress.processor import TextProcessor
from compress.registry.plugins import Registry, load_plugins
from compress.rows import columns_of, rows_in
from compress.source import Source, SourceOptions, Table
from compress.store.prepared import Prepared, prepare
from compress.store.store import Ingredients, Store
from compress.store.unlabelled import prepare_unlabelled
from compress.task import Row, Task
from compress.workers.jobs import importing, staging
from compress.workers.protocol import (
    Answer,
    ApplyStage,
    Chosen,
    Failed,
    ImportModel,
    Note,
    Question,
)

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
WORDS = [*SPECIAL.values(), "good", "bad", *(f"w{i}" for i in range(14))]
LABELS = ("bad", "good")
TAGS = ("O", "B-X", "I-X")
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 20,
    "initializer_range": 0.2,
    "hidden_dropout_prob": 0.2,
}

Rows = list[dict[str, Any]]


def task_named(name: str, **options: Any) -> Task[Any]:
    """A task on examples of at most 16 tokens."""
    cls = load_plugins().tasks[name].cls
    task: Task[Any] = cls(cls.Options(**{"max_length": 16, **options}))
    return task


def word_processor() -> TextProcessor:
    """A tokenizer whose tokens are ``WORDS``."""
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    return TextProcessor(tokenizer, {**SPECIAL, "tokenizer_class": "TokenizersBackend"}, "bert")


def sentences(count: int, seed: int) -> Rows:
    """Texts of 2 to 12 words. Each holds ``good`` or ``bad``, which is its label."""
    draws = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        words = [*draws.choice(WORDS[7:], size=draws.integers(1, 12)), LABELS[i % 2]]
        rows.append({"text": " ".join(draws.permutation(words)), "label": LABELS[i % 2]})
    return rows


def tagged(count: int, seed: int) -> Rows:
    """Sentences with tags. In each with ``good`` an entity begins there and goes on to the end."""
    rows = []
    for row in sentences(count, seed):
        tokens = row["text"].split()
        tags = ["O"] * len(tokens)
        if "good" in tokens:
            start = tokens.index("good")
            tags[start:] = ["B-X", *["I-X"] * (len(tokens) - start - 1)]
        rows.append({"tokens": tokens, "tags": tags})
    return rows


def read(
    rows: Sequence[Row], task: Task[Any], labels: Sequence[str] = LABELS, split: str = "train"
) -> list[Row]:
    """The rows as prepared data hold them: with labels as numbers and with ids."""
    made = rows_in(task.normalise(columns_of(rows), labels))
    return [{**row, "id": f"{split}-{i}"} for i, row in enumerate(made)]


def write_csv(path: Path, rows: Rows) -> None:
    """A csv file of ``sentences``."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)


def tiny_bert(
    task: Task[Any], labels: Sequence[str] = LABELS, seed: int = 1, **shape: Any
) -> PreTrainedModel:
    """A BERT with random weights and a head for the task."""
    torch.manual_seed(seed)
    return fresh_model({"type": "bert", "vocab_size": len(WORDS), **SHAPE, **shape}, task, labels)


def save_bert(
    folder: Path, task: Task[Any], labels: Sequence[str] = LABELS, seed: int = 1, **shape: Any
) -> Artifact:
    """An artifact of ``tiny_bert`` with ``word_processor``."""
    tiny_bert(task, labels, seed, **shape).save_pretrained(folder)
    word_processor().save(folder)
    Manifest(
        Traits(task=task.name), digest_files(folder), "model", "import", labels=tuple(labels)
    ).write(folder)
    return Artifact.open(folder)


def taken_in(folder: Path, output: Path, registry: Registry) -> Artifact:
    """The artifact that the import job makes of a model folder, in ``output``."""
    output.mkdir()
    line: Any = None
    importing.run(ImportModel(folder, "model", folder.name, output), line, registry)
    return Artifact.open(output)


class MemorySource(Source[SourceOptions]):
    """A source of rows that are in memory."""

    name = "memory"
    Options = SourceOptions

    def __init__(self, splits: Mapping[str, Rows]) -> None:
        super().__init__(SourceOptions())
        self.splits = splits

    def identity(self) -> dict[str, Any]:
        """Raises: these data have no key, and nothing asks for one."""
        raise NotImplementedError

    def read(self) -> dict[str, Table]:
        """The tables of the splits."""
        return {
            split: Table(rows, [f"{split}:{i}" for i in range(len(rows))])
            for split, rows in self.splits.items()
        }


def make_artifact(
    folder: Path,
    stage: str,
    task: Task[Any],
    splits: Mapping[str, Rows],
    *,
    input: Artifact | None = None,
    fresh: Mapping[str, Any] | None = None,
    references: Mapping[str, Artifact] | None = None,
    without_targets: Mapping[str, Rows] | None = None,
    seed: int = 5,
    said: list[str] | None = None,
    choices: Mapping[str, Traits] | None = None,
    answer: Callable[[Question], Answer | Failed] | None = None,
    **options: Any,
) -> Artifact:
    """The artifact that a stage makes with the data ``splits``, below the new ``folder``. The
    stage's notes to the user are added to ``said``. ``without_targets`` has the rows of
    each option that describes some without targets. ``answer`` answers what the stage asks about
    its candidates and ``choices``.

    This process does the worker's job. The store stands beside ``folder``, so that a second
    artifact finds the products of the first."""
    registry, data = load_plugins(), folder / "data"
    for part in (data, folder / "output", folder / "work"):
        part.mkdir(parents=True)
    prepare(MemorySource(splits), task, data)
    entry = registry.stages[stage]
    described = without_targets or {}
    chosen = entry.cls.Options(**options, **dict.fromkeys(described, {"train": "rows"}))
    traits = entry.cls.produces(input.traits if input else Traits(), chosen, task.name)
    job = ApplyStage(
        stage=stage,
        step=stage,
        seed=seed,
        options=chosen.model_dump(mode="json"),
        task=Chosen(task.name, task.options.model_dump(mode="json")),
        traits=traits,
        store=Store(folder.parent / "store"),
        input=input.folder if input else None,
        fresh=dict(fresh) if fresh else None,
        references={option: artifact.folder for option, artifact in (references or {}).items()},
        data=Prepared(data, sha256_file(data / "train.arrow")),
        unlabelled={
            option: _prepared_unlabelled(rows, task, folder / option)
            for option, rows in described.items()
        },
        output=folder / "output",
        work=folder / "work",
        choices=choices or {},
    )
    answers: list[Answer | Failed] = []

    def listen(message: Any) -> None:
        if isinstance(message, Note) and said is not None:
            said.append(message.text)
        if isinstance(message, Question):
            assert answer is not None, message
            answers.append(answer(message))

    line: Any = SimpleNamespace(send=listen, receive=answers.pop)
    staging.run(job, line, registry)
    return Artifact.open(folder / "output")


def _prepared_unlabelled(rows: Rows, task: Task[Any], folder: Path) -> Prepared:
    folder.mkdir()
    prepare_unlabelled(MemorySource({"train": rows}), task, folder)
    return Prepared(folder, sha256_file(folder / "train.arrow"))


def asking(task: Task[Any], rows: Sequence[Row], store: Path, data: str = "digest") -> Any:
    """A context that has what ``compress.teacher`` reads: the task, its rows in every split, and
    products in the folder ``store``."""

    def product(kind: str, ingredients: dict[str, Any], make: Callable[[Path], None]) -> Path:
        def fill(content: Path, work: Path) -> float:
            make(content)
            return 0.0

        return Store(store).make(Ingredients(kind, ingredients), fill)[0].folder

    return SimpleNamespace(
        task=task,
        data=SimpleNamespace(digest=data, labels=(), rows=lambda split: rows),
        progress=lambda *args: None,
        product=product,
    )
