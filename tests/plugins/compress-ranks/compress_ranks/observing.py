"""Trainings of tiny models, with what each process computed in each batch."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny import task_named, tiny_bert, word_processor
from torch import Tensor
from trainings import OPTIONS, Given

from compress.errors import CompressError
from compress.models import save_model
from compress.stage import Context, Made
from compress.training import Term, TrainingOptions, fit
from compress_ranks import RanksOptions

STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""A model in which nothing is drawn."""
CASES: Mapping[str, Mapping[str, Any]] = {
    "uneven": {"options": {"batch_size": 3, "epochs": 3}},
    "accumulated": {
        "options": {"batch_size": 2, "epochs": 3, "gradient_accumulation": 2},
        "validates": False,
    },
    "terms": {
        "options": {"batch_size": 5, "epochs": 4},
        "task": "fill-mask",
        "labels": (),
        "has_terms": True,
    },
    "twice": {"options": {"batch_size": 5, "epochs": 2}, "times": 2, "validates": False},
}
"""The options of each training of 26 rows, at least 20 steps. With ``batch_size`` 5 the last batch
has one row, and with masks the rows of two processes have other numbers of labels."""


class Recorder:
    """A loss that keeps the rows and the terms of each batch."""

    def __init__(self, has_terms: bool) -> None:
        self.has_terms = has_terms
        self.batches: list[dict[str, Any]] = []

    def __call__(self, model: Any, batch: dict[str, Tensor], indices: Tensor) -> Any:
        """The model's own loss; or two terms, over labels and over tokens."""
        assert model.config.model_type == "bert", "the model is as it was given"
        outputs = model(**batch, output_hidden_states=True)
        labels = batch["labels"]
        counted = int((labels != -100).sum())
        terms = [Term(outputs.loss, counted)]
        if self.has_terms:
            states = outputs.hidden_states[-1][batch["attention_mask"].bool()]
            terms.append(Term(states.square().mean(), len(states)))
        kept = [[float(term.value.detach()), term.count] for term in terms]
        self.batches.append({"rows": indices.tolist(), "terms": kept})
        return terms if self.has_terms else outputs.loss


def observe(context: Context[RanksOptions]) -> Made:
    """Write ``records.json``, the final weights of each training, and a model."""
    context.note(f"rank {context.rank} of {context.world}")
    (context.output / f"written-by-{context.rank}.txt").write_text("here", encoding="utf-8")
    made = context.product("toy", {"asked": "once"}, lambda folder: _write_once(context, folder))
    assert (made / "made.txt").is_file()
    assert context.gather(context.rank) == list(range(context.world))
    records: dict[str, Any] = {}
    for name, case in CASES.items():
        model, recorder = _model(case), Recorder(case.get("has_terms", False))
        for time_ in range(case.get("times", 1)):
            facts = _trained(model, context, case, recorder, f"{name}-{time_}")
        facts.pop("training_seconds")
        records[name] = {"ranks": context.gather(recorder.batches), "facts": facts}
        weights = {key: value.clone() for key, value in model.state_dict().items()}
        save_file(weights, context.output / f"{name}.safetensors")
    text = json.dumps(records)
    (context.output / "records.json").write_text(text, encoding="utf-8")
    parameters = save_model(_model({}), context.output)
    word_processor().save(context.output)
    return Made(parameters=parameters)


def _write_once(context: Context[RanksOptions], folder: Path) -> None:
    time.sleep(0.2)  # so that the others would find nothing
    (folder / "made.txt").write_text(str(context.rank), encoding="utf-8")


def _model(case: Mapping[str, Any]) -> Any:
    task = task_named(case.get("task", "text-classification"))
    return tiny_bert(task, case.get("labels", ("bad", "good")), **STEADY)


def _trained(
    model: Any, context: Context[RanksOptions], case: Mapping[str, Any], loss: Recorder, name: str
) -> dict[str, Any]:
    task = task_named(case.get("task", "text-classification"))
    given = Given(
        context.work / name,
        task,
        validates=case.get("validates", True),
        labels=case.get("labels", ("bad", "good")),
    )
    # The rows of tests, and the processes of this step.
    for attribute in ("rank", "world", "first", "gather"):
        setattr(given, attribute, getattr(context, attribute))
    options = TrainingOptions(**{**OPTIONS, **case["options"]})
    return dict(fit(model, given, options, loss=loss, processor=word_processor()))


def end_rank_1(context: Context[RanksOptions]) -> Made:
    """End rank 1, while rank 0 waits for it."""
    context.gather(None)
    if context.rank == 1:
        _ENDS[context.options.how]()
    torch.distributed.barrier()
    return Made()


def _wrong() -> None:
    raise CompressError("the rows of rank 1 are wrong")


_ENDS: Mapping[str, Callable[[], Any]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "wrong": _wrong,
    "bug": lambda: 1 / 0,
    "left": lambda: (sys.stdout.flush(), os._exit(7)),
}
