"""Divergences from some choices of a teacher, and of many lines at a time, against those of all
numbers at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from compress import choices as module
from compress.choices import sampled, top
from compress.distilling.chunks import in_chunks
from compress.distilling.losses import answers_distance, divergence
from compress.distilling.menu import LogitsLoss
from compress.teacher import Pair

WIDTH = 60


def logits(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def at(temperature: float, beta: float = 0.0) -> LogitsLoss:
    return LogitsLoss(temperature=temperature, beta=beta)


def graded(loss: Callable[[Tensor], Tensor], student: Tensor) -> tuple[Tensor, Tensor]:
    """The value and the gradient of a loss of a student's logits."""
    own = student.clone().requires_grad_()
    value = loss(own)
    value.backward()
    assert own.grad is not None
    return value.detach(), own.grad


def drawn(teacher: Tensor, temperature: float, seed: int, draws: int = 50) -> Pair:
    made = sampled(teacher, None, temperature, draws, torch.Generator().manual_seed(seed))
    return Pair(teacher, made, "softmax")


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_mean_over_many_samples_is_the_divergence_and_its_gradient(temperature: float) -> None:
    student, teacher = logits(0, 5, WIDTH), logits(1, 5, WIDTH)
    value, slope = graded(lambda own: divergence(own, teacher, temperature), student)
    values, slopes = [], []
    for seed in range(300):
        made = drawn(teacher, temperature, seed).teacher
        one, gradient = graded(
            lambda own, made=made: answers_distance(Pair(own, made, "softmax"), at(temperature)),
            student,
        )
        values.append(one)
        slopes.append(gradient)
    all_values, all_slopes = torch.stack(values), torch.stack(slopes)
    for found, wanted in ((all_values, value), (all_slopes, slope)):
        error = found.std(0) / 300**0.5
        assert ((found.mean(0) - wanted).abs() <= 5 * error + 1e-4).all()
    assert all_values.std() > 1e-3  # one sample alone is another number


def test_a_student_that_agrees_has_no_distance_from_any_sample() -> None:
    teacher = logits(2, 6, WIDTH)
    for seed in range(5):
        pair = drawn(teacher, 2.0, seed)
        assert answers_distance(pair, at(2.0)).item() == pytest.approx(0, abs=2e-5)


def test_top_choices_are_the_divergence_over_them_and_the_others_as_one() -> None:
    student, teacher = logits(3, 6, WIDTH), logits(4, 6, WIDTH)
    made = top(teacher, None, 2.0, 8)
    ids = made.ids.view(6, 8)

    def by_hand(own: Tensor) -> Tensor:
        def grouped(side: Tensor) -> Tensor:
            shares = (side / 2.0).softmax(-1)
            chosen = shares.gather(-1, ids)
            return torch.cat([chosen, 1 - chosen.sum(-1, keepdim=True)], -1)

        p, q = grouped(teacher), grouped(own)
        return 4.0 * (p * (p / q).log()).sum(-1).mean()

    value, slope = graded(by_hand, student)
    found, gradient = graded(
        lambda own: answers_distance(Pair(own, made, "softmax"), at(2.0)), student
    )
    torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient, slope, rtol=1e-3, atol=1e-6)
    assert found < divergence(student, teacher, 2.0)
    assert answers_distance(Pair(teacher, made, "softmax"), at(2.0)).item() == pytest.approx(
        0, abs=1e-5
    )


def test_all_choices_as_the_top_are_the_divergence_itself() -> None:
    student, teacher = logits(5, 6, WIDTH), logits(6, 6, WIDTH)
    made = top(teacher, None, 1.0, WIDTH)
    wanted = graded(lambda own: divergence(own, teacher, 1.0), student)
    found = graded(lambda own: answers_distance(Pair(own, made, "softmax"), at(1.0)), student)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_some_lines_at_a_time_give_what_all_at_once_give(
    beta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = logits(7, 9, WIDTH), logits(8, 5, WIDTH)
    rows = torch.tensor([0, 2, 3, 7, 8])
    wanted = graded(lambda own: divergence(own[rows], teacher, 2.0, beta), student)
    for size in (1, WIDTH * 2, WIDTH * 100):
        monkeypatch.setattr(module, "BLOCK", size)
        monkeypatch.setattr("compress.distilling.losses._AT_ONCE", 1)
        found = graded(
            lambda own: answers_distance(Pair(own, teacher, "softmax", rows), at(2.0, beta)),
            student,
        )
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_a_weighted_mean_of_lines_has_a_weighted_gradient() -> None:
    values = logits(9, 4, 3)

    def squares(some: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return some.square().sum(), 2 * some

    found = graded(lambda own: 0.5 * in_chunks(own, None, squares), values)
    wanted = graded(lambda own: 0.5 * own.square().sum(-1).mean(), values)
    torch.testing.assert_close(found, wanted)


def test_a_student_in_half_precision_keeps_its_gradient_in_it() -> None:
    student, teacher = logits(10, 6, WIDTH).bfloat16(), logits(11, 6, WIDTH)
    pair = drawn(teacher, 1.0, 0)
    value, slope = graded(
        lambda own: answers_distance(Pair(own, pair.teacher, "softmax"), at(1.0)), student
    )
    assert value.dtype == torch.float32 and slope.dtype == torch.bfloat16
    exact = graded(
        lambda own: answers_distance(Pair(own, pair.teacher, "softmax"), at(1.0)), student.float()
    )
    torch.testing.assert_close(value, exact[0])
    torch.testing.assert_close(slope.float(), exact[1], rtol=1e-2, atol=1e-5)


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """The bytes of the largest tensors that are made: how many of at least ``least``."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least, self.made = least, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        known = {a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor)}
        if isinstance(result, Tensor) and result.untyped_storage().data_ptr() not in known:
            self.made += result.untyped_storage().nbytes() >= self.least
        return result


@pytest.mark.parametrize("form", ["sample", "dense"])
def test_only_the_gradient_is_as_large_as_all_logits(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = logits(12, 64, 500).bfloat16().requires_grad_(), logits(13, 64, 500)
    pair = drawn(teacher, 1.0, 0) if form == "sample" else Pair(teacher, teacher, "softmax")
    monkeypatch.setattr(module, "BLOCK", 4 * 500)
    monkeypatch.setattr("compress.distilling.losses._AT_ONCE", 4 * 500)
    with Largest(2 * 64 * 500) as watch:
        loss = answers_distance(Pair(student, pair.teacher, "softmax"), at(1.0))
        torch.autograd.grad(loss, student)
    assert watch.made == 1, "the gradient alone, in the student's dtype"


def test_the_reverse_of_a_sample_is_no_number() -> None:
    pair = drawn(logits(14, 2, WIDTH), 1.0, 0)
    with pytest.raises(ValueError, match="need the teacher's answer for every"):
        answers_distance(pair, at(1.0, 1.0))
