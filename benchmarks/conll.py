"""Sentences of CoNLL-2003 for the benchmarks of trainings, and what a model scores on them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any


def drawn_context(
    model: str | Path, data_folder: str, seed: int, sentences: int | None, work: Path
) -> Any:
    """What a stage's context holds: so many sentences of the training split, those that a recipe
    with this ``seed`` draws (all for None), the validation split under ``data.validation``, and
    ``model`` as its input."""
    from compress.artifact import Artifact, Manifest, Traits
    from compress.registry.plugins import load_plugins
    from compress.store.drawing import drawn
    from compress.store.prepared import Prepared, prepare

    registry = load_plugins()
    source, task = registry.sources["conll"].cls, registry.tasks["token-classification"].cls
    files = {"train": f"{data_folder}/eng.train", "validation": f"{data_folder}/eng.testa"}
    task_object = task(task.Options())
    (work / "data").mkdir()
    prepare(source(source.Options(**files)), task_object, work / "data")
    data = Prepared(work / "data", "")
    every = data.rows("train")
    train = [every[i] for i in drawn(len(every), sentences or len(every), "train", seed)]
    rows = {"train": train, "validation": []}
    chosen = SimpleNamespace(
        rows=rows.__getitem__, labels=data.labels, validation=data.rows("validation")
    )
    artifact = Artifact(Path(model), Manifest(Traits(), {}, "model", "import"))
    return SimpleNamespace(
        task=task_object,
        data=chosen,
        input=artifact,
        seed=seed,
        work=work,
        progress=lambda *a, **k: None,
        note=lambda text: None,
    )


def train_features(context: Any) -> list[dict[str, Any]]:
    """The features of the training sentences."""
    made: list[dict[str, Any]] = context.task.features(
        context.data.rows("train"), processor_of(context)
    )
    return made


def stock_parts(
    context: Any, epochs: float, batch_size: int, learning_rate: float
) -> dict[str, Any]:
    """What transformers' ``Trainer`` gets of a user who takes its defaults: dynamic padding,
    float32, a checkpoint after each epoch."""
    from transformers import AutoTokenizer, DataCollatorForTokenClassification, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(context.input.folder, local_files_only=True)
    names = ("input_ids", "attention_mask", "token_type_ids", "labels")
    examples = [{k: v for k, v in f.items() if k in names} for f in train_features(context)]
    arguments = TrainingArguments(
        output_dir=str(context.work / "stock"),
        num_train_epochs=epochs,
        report_to=[],
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        use_cpu=True,
        save_strategy="epoch",
        disable_tqdm=True,
        warmup_steps=0.06,
        seed=context.seed,
    )
    collator = DataCollatorForTokenClassification(tokenizer)
    return {"args": arguments, "train_dataset": examples, "data_collator": collator}


def processor_of(context: Any) -> Any:
    """The tokenizer of the context's input."""
    return context.task.processor(context.input.folder)


def f1_of(model: Any, context: Any) -> float:
    """Entity F1 of a model on the validation split (strict IOB2)."""
    from compress.predict import predict
    from compress.sessions import TorchSession

    rows, tokenizer = context.data.validation, processor_of(context)
    answers = predict(
        TorchSession(model.eval(), "cpu"),
        context.task,
        tokenizer,
        rows,
        context.task.features(rows, tokenizer),
        32,
    )
    return float(context.task.score(answers, rows, context.data.labels, tokenizer).metrics["f1"])
