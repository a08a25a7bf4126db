"""An interrupted training continues to the weights of an unbroken one, bit for bit, and nothing
else counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import read, sentences, task_named, tiny_bert, word_processor
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from trainings import OPTIONS, Given, Interrupted, Judge, equal

from compress.errors import CompressError, Ended, UsageError
from compress.training import TrainingOptions, checkpoints, clock, fit, reporter


def trained(
    given: Given, loss: Any = None, **options: Any
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights after training a fresh model with the options, and the facts."""
    model = tiny_bert(given.task).train()
    facts = fit(
        model,
        given,
        TrainingOptions(**{**OPTIONS, **options}),
        loss=loss,
        processor=word_processor(),
    )
    assert not model.training
    return {name: value.clone() for name, value in model.state_dict().items()}, facts


def untimed(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "training_seconds"}


def interrupted(given: Given, at: int, **options: Any) -> None:
    """Train up to step ``at``, with a checkpoint after each step before it."""
    given.stop_at = at
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        trained(given, **options)


def own_loss(model: Any, batch: dict[str, Tensor], indices: Tensor) -> Tensor:
    """Cross-entropy in which each row has a weight of its own, so that rows given for others would
    show."""
    logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
    return (
        torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="none") * (1 + indices)
    ).mean()


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "without validation": ({"validates": False}, {}),
    "accumulated gradients": ({}, {"gradient_accumulation": 3}),
    "part of an epoch": ({}, {"epochs": 1.5}),
    "a loss of its own": ({}, {"loss": own_loss, "gradient_accumulation": 2}),
    "masks drawn": ({"task": task_named("fill-mask"), "labels": ()}, {}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("at", [5, 8])
def test_an_interrupted_training_ends_in_the_weights_of_an_unbroken_one(
    case: str, at: int, tmp_path: Path
) -> None:
    given, options = CASES[case]
    unbroken, facts = trained(Given(tmp_path / "unbroken", **given), **options)
    interrupted(Given(tmp_path / "work", **given), min(at, facts["steps"]), **options)
    again = Given(tmp_path / "work", **given)
    resumed, resumed_facts = trained(again, **options)
    assert again.notes == [f"continuing from step {again.steps[0] - 1}"]
    assert again.steps[0] == min(at, facts["steps"]), (
        "no step before the interrupted one is repeated"
    )
    assert equal(unbroken, resumed)
    assert untimed(facts) == untimed(resumed_facts)


def test_a_training_continues_from_the_end_of_an_epoch_by_default(tmp_path: Path) -> None:
    unbroken, _ = trained(Given(tmp_path / "unbroken"))
    with pytest.raises(Interrupted):
        trained(Given(tmp_path / "work", stop_at=13))
    again = Given(tmp_path / "work")
    assert equal(unbroken, trained(again)[0])
    assert again.notes == ["continuing from step 7"]


def test_a_training_that_was_over_is_not_trained_further(tmp_path: Path) -> None:
    for name, options in (("whole", {}), ("part", {"epochs": 1.5}), ("unjudged", {})):
        validates = name != "unjudged"
        first, facts = trained(Given(tmp_path / name, validates=validates), **options)
        again = Given(tmp_path / name, validates=validates)
        second, second_facts = trained(again, **options)
        assert equal(first, second)
        assert again.steps == []
        assert untimed(second_facts) == untimed(facts)


@pytest.mark.parametrize("epochs_before", [1, 2, 3])
def test_patience_is_counted_over_an_interruption(epochs_before: int, tmp_path: Path) -> None:
    """The best is the second of the epochs; two without a better one follow."""
    judge = Judge([0.3, 0.6, 0.5, 0.6, 0.9, 0.9])
    options = {"patience": 2, "epochs": 6}
    unbroken, facts = trained(Given(tmp_path / "unbroken", task=judge.task()), **options)
    assert (facts["steps"], facts["best_step"], facts["best_validation"]) == (28, 14, 0.6)
    with pytest.raises(Interrupted):
        trained(
            Given(tmp_path / "work", task=judge.task(), stop_at=7 * epochs_before + 2), **options
        )
    resumed, resumed_facts = trained(
        Given(tmp_path / "work", task=judge.task(first=epochs_before)), **options
    )
    assert resumed_facts["steps"] == 28
    assert equal(unbroken, resumed)


def test_a_training_that_stopped_for_lack_of_progress_stays_stopped(tmp_path: Path) -> None:
    judge = Judge([0.6, 0.5, 0.9, 0.9])
    first, facts = trained(Given(tmp_path, task=judge.task()), patience=1, epochs=4)
    again = Given(tmp_path, task=judge.task(first=2))
    second, second_facts = trained(again, patience=1, epochs=4)
    assert (again.steps, facts["steps"], second_facts["steps"]) == ([], 14, 14)
    assert equal(first, second)


def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path) -> None:
    best, facts = trained(Given(tmp_path, task=Judge([0.5, 0.7, 0.6]).task()), epochs=3)
    assert facts["best_step"] == 14
    assert equal(load_file(tmp_path / "checkpoints" / "checkpoint-14" / "model.safetensors"), best)


def damaged(checkpoint: Path) -> None:
    file = checkpoint / "optimizer.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def unmarked(checkpoint: Path) -> None:
    (checkpoint / checkpoints.MARKER).unlink()


@pytest.mark.parametrize(
    ("spoil", "notes"),
    [
        (damaged, ["warning: checkpoint-7 has changed since it was written, and is left out"]),
        (unmarked, []),  # a training that was killed often leaves one
    ],
)
def test_a_checkpoint_that_is_not_whole_is_not_continued_from(
    spoil: Callable[[Path], None], notes: list[str], tmp_path: Path
) -> None:
    unbroken, _ = trained(Given(tmp_path / "unbroken", validates=False))
    with pytest.raises(Interrupted):
        trained(Given(tmp_path / "work", validates=False, stop_at=9))
    spoil(tmp_path / "work" / "checkpoints" / "checkpoint-7")
    again = Given(tmp_path / "work", validates=False)
    assert equal(unbroken, trained(again)[0])
    assert again.notes == notes


@pytest.mark.parametrize("case", ["plain", "without validation", "accumulated gradients"])
@pytest.mark.parametrize("at", [3, 7, 10])
def test_a_training_that_is_asked_to_end_keeps_its_step_and_goes_on_to_the_same_weights(
    case: str, at: int, tmp_path: Path
) -> None:
    """At step 7 an epoch ends: its evaluation is made before the checkpoint."""
    given, options = CASES[case]
    unbroken, facts = trained(Given(tmp_path / "unbroken", **given), **options)
    at = min(at, facts["steps"] - 1)
    first = Given(tmp_path / "work", **given, ask_at=at)
    with pytest.raises(Ended):
        trained(first, **options)
    assert first.steps[-1] == at, "no step is made after the request"
    total = facts["steps"]
    assert first.notes == [
        f"kept the training at step {at} of {total}; the same command goes on from there"
    ]
    again = Given(tmp_path / "work", **given)
    resumed, _ = trained(again, **options)
    assert again.notes == [f"continuing from step {at}"]
    assert again.steps[0] == at + 1
    assert equal(unbroken, resumed)


def test_a_training_that_is_asked_to_end_at_its_last_step_is_kept_whole(tmp_path: Path) -> None:
    with pytest.raises(Ended):
        trained(Given(tmp_path, ask_at=14))
    again = Given(tmp_path)
    assert equal(trained(Given(tmp_path / "unbroken"))[0], trained(again)[0])
    assert again.steps == []


def test_the_newest_checkpoint_and_the_best_are_kept_and_no_other(tmp_path: Path) -> None:
    trained(Given(tmp_path, task=Judge([0.7, 0.5, 0.6]).task()), epochs=3)
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-21",
        "checkpoint-7",
    ]
    state = json.loads((folder / "checkpoint-21" / "trainer_state.json").read_text())
    assert Path(state["best_model_checkpoint"]).name == "checkpoint-7"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training_at_its_step(
    bad: float, tmp_path: Path
) -> None:
    calls: list[int] = []

    def loss(model: Any, batch: dict[str, Tensor], indices: Tensor) -> Tensor:
        calls.append(1)
        factor = bad if len(calls) == 10 else 1.0
        return own_loss(model, batch, indices) * factor

    with pytest.raises(
        CompressError, match=rf"the loss is {bad} at step 10 of 14 .*lower learning_rate"
    ):
        trained(Given(tmp_path), loss)
    assert not list((tmp_path / "checkpoints").glob("checkpoint-1[0-9]"))


def test_validation_is_scored_in_the_order_of_its_rows(tmp_path: Path) -> None:
    """The answers that are scored are those of each row alone."""
    task = task_named("text-classification")
    seen: list[list[float]] = []
    score = type(task).score

    def scored(predictions: Any, rows: Any, labels: Any, processor: Any) -> Any:
        assert [p["id"] for p in predictions] == [row["id"] for row in rows]
        seen.append([p["score"] for p in predictions])
        return score(task, predictions, rows, labels, processor)

    task.score = scored  # type: ignore[method-assign]
    given = Given(tmp_path, task=task)
    model = tiny_bert(task).train()
    fit(model, given, TrainingOptions(**{**OPTIONS, "epochs": 1}), processor=word_processor())
    lengths, alone = set(), []
    for features in task.features(given.rows("validation"), word_processor()):
        lengths.add(len(features["input_ids"]))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([features["input_ids"]])).logits
        alone.append(logits.softmax(-1).max().item())
    assert len(lengths) > 4, "rows of one length would come in order anyway"
    assert seen[0] == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("loss", [lambda *args: own_loss(*args) / 1000, None])
def test_accumulated_gradients_are_those_of_the_larger_batch(
    loss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the optimizer is given; it and the clipping of gradients would hide a factor."""
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda *args, **kwargs: torch.tensor(0.0)
    )
    found: list[Tensor] = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: found.append(
            torch.cat(
                [
                    p.grad.flatten().clone()
                    for group in optimizer.param_groups
                    for p in group["params"]
                ]
            )
        )
    )
    for size, accumulated in ((8, 1), (4, 2)):
        given = Given(tmp_path / str(size), validates=False)
        rows = read(sentences(8, 0), given.task)
        given.rows = lambda split, rows=rows: rows if split == "train" else []  # type: ignore[method-assign]
        model = tiny_bert(
            given.task, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        ).train()
        options = TrainingOptions(
            **{**OPTIONS, "epochs": 1, "batch_size": size, "gradient_accumulation": accumulated}
        )
        fit(model, given, options, loss=loss, processor=word_processor())
    hook.remove()
    assert len(found) == 2
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-8)


def test_activations_that_are_computed_again_lead_to_the_same_weights(tmp_path: Path) -> None:
    """Dropout too draws the same a second time. A layer's passes tell whether the option is on."""
    passes, weights = {}, {}
    for again in (False, True):
        given = Given(tmp_path / str(again), validates=False)
        model = tiny_bert(given.task, num_hidden_layers=2).train()
        seen: list[int] = []
        model.bert.encoder.layer[1].attention.register_forward_hook(
            lambda *_, seen=seen: seen.append(1)
        )
        options = TrainingOptions(**{**OPTIONS, "epochs": 1, "gradient_checkpointing": again})
        fit(model, given, options, processor=word_processor())
        passes[again], weights[again] = len(seen), model.state_dict()
    assert passes == {False: 7, True: 14}
    assert equal(weights[True], weights[False])


def test_patience_without_validation_and_training_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="patience needs validation data"):
        trained(Given(tmp_path, validates=False), patience=1)
    given = Given(tmp_path)
    given.rows = lambda split: []  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="the train split is empty"):
        trained(given)


def test_the_remaining_time_does_not_jump_at_a_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 1 s, validations of 14 s: at each step as many seconds are left as will pass."""
    now = [0.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    arguments: Any = SimpleNamespace(num_train_epochs=3)
    counted, left = clock.TrainingClock(validation_share=1.0), []
    counted.begin()
    for step in range(1, 31):
        now[0] += 1.0
        counted.step_is_done()
        state: Any = SimpleNamespace(global_step=step, max_steps=30, epoch=step / 10)
        left.append((now[0], counted.remaining(arguments, state)))
        if step % 10 == 0:
            now[0] += 14.0
            counted.validation_is_done()
            now[0] += 2.0
            counted.checkpoint_is_done()
    assert left[0][1] == pytest.approx(29 + 3 * 10 / 3), "a guess, before a validation was seen"
    for at, remaining in left[10:]:
        assert at + remaining == pytest.approx(30 + 3 * 16)
