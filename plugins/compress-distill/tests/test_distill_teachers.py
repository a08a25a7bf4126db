"""A student of several teachers, and of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions
from tiny import (
    asking,
    make_artifact,
    read,
    save_bert,
    sentences,
    task_named,
    word_processor,
)
from torch import Tensor

from compress.choices import Choices
from compress.errors import UsageError
from compress.models import open_model
from compress.teacher import Asked, Pair
from compress.teachers import TeacherWeight, mean_answer, several_outputs

CLASSIFY = task_named("text-classification")
SPLITS = {"train": sentences(20, 0), "test": sentences(6, 1)}
OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 4, "precision": "fp32"}


def pairs_of(answers: list[Tensor], divergence: Any) -> list[Pair]:
    return [Pair(torch.zeros_like(one), one, divergence) for one in answers]


def test_the_answer_of_several_teachers_is_the_mean_of_their_probabilities() -> None:
    answers = [torch.randn(5, 4) * 3 for _ in range(3)]
    weights = torch.tensor([0.5, 0.3, 0.2])
    mean = mean_answer(pairs_of(answers, "softmax"), weights).teacher
    expected = sum(w * a.softmax(-1) for w, a in zip(weights, answers, strict=True))
    torch.testing.assert_close(mean.softmax(-1), expected)
    mean = mean_answer(pairs_of(answers, "binary"), weights).teacher
    expected = sum(w * a.sigmoid() for w, a in zip(weights, answers, strict=True))
    torch.testing.assert_close(mean.sigmoid(), expected)
    mean = mean_answer(pairs_of(answers, "regression"), weights).teacher
    torch.testing.assert_close(mean, sum(w * a for w, a in zip(weights, answers, strict=True)))


@pytest.mark.parametrize("divergence", ["softmax", "binary", "regression"])
def test_equal_teachers_answer_as_one(divergence: Any) -> None:
    answer = torch.randn(5, 4)
    mean = mean_answer(pairs_of([answer, answer], divergence), torch.tensor([0.7, 0.3])).teacher
    same = answer.log_softmax(-1) if divergence == "softmax" else answer
    torch.testing.assert_close(mean, same)


def test_choices_that_were_drawn_have_no_mean() -> None:
    drawn = Choices(
        torch.tensor([0]), torch.ones(1), torch.tensor([0, 1]), torch.zeros(1), 4, "sample"
    )
    pairs = [Pair(torch.zeros(1, 4), drawn, "softmax")] * 2
    with pytest.raises(UsageError, match="keep: nothing"):
        mean_answer(pairs, torch.tensor([0.5, 0.5]))


def test_hidden_states_are_those_of_the_first_teacher(tmp_path: Path) -> None:
    rows = read(sentences(6, 3), CLASSIFY)
    teachers = [save_bert(tmp_path / str(i), CLASSIFY, seed=i) for i in (1, 2)]
    weights = [TeacherWeight(teachers[0], 3.0), TeacherWeight(teachers[1])]
    context, asked = asking(CLASSIFY, rows, tmp_path / "store"), Asked(states=(-1,))
    outputs = several_outputs(context, weights, "train", asked, word_processor())
    arrays = CLASSIFY.collate(CLASSIFY.features(rows, word_processor()), word_processor())
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad():
        own, other = (
            open_model(one, CLASSIFY)(**batch, output_hidden_states=True) for one in teachers
        )
    pairs = outputs.pairs(own, batch, torch.arange(6))
    assert len(pairs.states) == 1
    assert (pairs.states[0].student - pairs.states[0].teacher).abs().max() < 1e-2
    expected = 0.75 * own.logits.softmax(-1) + 0.25 * other.logits.softmax(-1)
    torch.testing.assert_close(pairs.answers[0].teacher.softmax(-1), expected)


def test_a_student_learns_from_two_teachers_as_their_weights_say(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, num_hidden_layers=2)
    first, second = (save_bert(tmp_path / str(i), CLASSIFY, seed=i) for i in (2, 3))
    made = [
        make_artifact(
            tmp_path / f"made-{i}",
            "distill",
            CLASSIFY,
            SPLITS,
            input=given,
            references={"teacher.0": first, "teacher.1": second},
            teacher=teacher,
            student={"layers": 1},
            **OPTIONS,
        )
        for i, teacher in enumerate((["a", "b"], {"a": 1, "b": 1}, {"a": 1, "b": 3}))
    ]
    digests = [artifact.manifest.files["model.safetensors"] for artifact in made]
    assert digests[0] == digests[1] != digests[2]


def test_a_model_learns_from_itself_at_full_size(tmp_path: Path) -> None:
    """Self-distillation: the teacher is the step's input, and no layer is cut."""
    given = save_bert(tmp_path / "given", CLASSIFY)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        CLASSIFY,
        SPLITS,
        input=given,
        references={"teacher": given},
        teacher="given",
        losses=["logits", {"labels": {"weight": 0.5}}],
        **OPTIONS,
    )
    layers = [open_model(one, CLASSIFY).config.num_hidden_layers for one in (given, made)]
    assert layers == [1, 1] and made.digest != given.digest


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"teacher": []}, "teacher"),
        ({"teacher": {"a": 0.0, "b": 1.0}}, "teacher"),
        ({"teacher": ["a", "a"]}, "teacher"),
        ({"teacher": ["a", "b"], "losses": ["hidden"]}, "teacher"),
        ({"teacher": ["a", "b"], "keep": "sample"}, "keep"),
    ],
)
def test_teachers_that_cannot_be_learned_from_are_mistakes(
    options: dict[str, Any], field: str
) -> None:
    assert [mistake.option for mistake in Distill.check(DistillOptions(**options))] == [field]
