"""The losses of distillation against hand values, torch's own functions and their properties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compress.distilling.losses import binary_divergence, divergence, hidden_distance, squared_error

TEMPERATURES = (0.5, 1.0, 2.0, 10.0)


def logits(seed: int, *shape: int, scale: float = 3.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("loss", [divergence, binary_divergence])
def test_divergence_from_itself_is_zero(loss, temperature: float) -> None:
    answers = logits(0, 7, 5)
    assert loss(answers, answers, temperature).item() == 0.0


@pytest.mark.parametrize("loss", [divergence, binary_divergence])
def test_divergence_is_never_negative(loss) -> None:
    for seed in range(20):
        assert loss(logits(seed, 3, 4), logits(seed + 100, 3, 4), 2.0).item() > 0


def test_divergence_of_two_classes_is_the_hand_value() -> None:
    """Teacher 3/4 and 1/4, student 1/2 and 1/2."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert divergence(student, teacher, 1.0).item() == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_divergence_agrees_with_torch_in_double_precision(temperature: float) -> None:
    student, teacher = logits(1, 9, 6), logits(2, 9, 6)
    reference = (
        temperature**2
        * functional.kl_div(
            functional.log_softmax(student.double() / temperature, -1),
            functional.softmax(teacher.double() / temperature, -1),
            reduction="sum",
        )
        / 9
    )
    assert divergence(student, teacher, temperature).item() == pytest.approx(
        reference.item(), rel=1e-5
    )  # measured: 4e-7


def test_divergence_asks_how_far_the_student_is_from_the_teacher_and_not_the_reverse() -> None:
    """A student that gives nothing to a class that the teacher is sure of is punished without a
    bound."""
    sure, blind = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, -50.0]])
    assert divergence(blind, sure, 1.0).item() == pytest.approx(25 - math.log(2), rel=1e-3)
    assert divergence(sure, blind, 1.0).item() == pytest.approx(math.log(2), rel=1e-3)


def test_divergence_does_not_change_when_a_constant_is_added() -> None:
    student, teacher = logits(1, 5, 4), logits(2, 5, 4)
    shifted = divergence(student + 7, teacher - 3, 2.0)
    assert shifted.item() == pytest.approx(divergence(student, teacher, 2.0).item(), rel=1e-4)


def gradient_size(temperature: float) -> float:
    student = logits(3, 64, 5, scale=1.0).requires_grad_()
    divergence(student, logits(4, 64, 5, scale=1.0), temperature).backward()
    assert student.grad is not None
    return float(student.grad.norm())


def test_the_temperature_does_not_change_the_size_of_gradients() -> None:
    """In the limit of high temperatures the gradient is (z - v) / N, whatever the temperature
    (Hinton et al. 2015, 2.1)."""
    sizes = [gradient_size(t) for t in (4.0, 8.0, 16.0, 64.0)]
    assert max(sizes) / min(sizes) < 1.05  # measured: 1.004; without the factor it would be 256
    student, teacher = logits(3, 64, 5, scale=1.0), logits(4, 64, 5, scale=1.0)
    difference = (student - student.mean(-1, keepdim=True)) - (
        teacher - teacher.mean(-1, keepdim=True)
    )
    assert sizes[-1] == pytest.approx(float((difference / 5 / 64).norm()), rel=0.02)


def test_a_gradient_step_brings_the_student_nearer() -> None:
    student, teacher = logits(5, 8, 3).requires_grad_(), logits(6, 8, 3)
    before = divergence(student, teacher, 2.0)
    before.backward()
    with torch.no_grad():
        assert divergence(student - 0.1 * student.grad, teacher, 2.0).item() < before.item()


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_binary_divergence_is_the_sum_over_labels_of_bernoulli_divergences(
    temperature: float,
) -> None:
    student, teacher = logits(7, 6, 4), logits(8, 6, 4)
    s, t = (
        torch.distributions.Bernoulli(logits=x.double() / temperature) for x in (student, teacher)
    )
    reference = torch.distributions.kl_divergence(t, s).sum(-1).mean() * temperature**2
    assert binary_divergence(student, teacher, temperature).item() == pytest.approx(
        reference.item(), rel=1e-5
    )


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_losses_are_computed_in_float32(kind: torch.dtype) -> None:
    """A half-precision student near its teacher still feels the difference."""
    teacher = logits(9, 4, 3).to(kind)
    student = (teacher.float() * 1.01).to(kind)
    for loss in (lambda s, t: divergence(s, t, 2.0), squared_error, hidden_distance):
        value = loss(student, teacher)
        assert value.dtype == torch.float32
        assert value.item() == loss(student.float(), teacher.float()).item()
    assert divergence(student, teacher, 2.0).item() > 0


def test_extreme_answers_give_finite_losses_and_gradients() -> None:
    student = torch.tensor([[80.0, -80.0], [0.0, 200.0]], requires_grad=True)
    loss = divergence(student, torch.tensor([[-80.0, 80.0], [0.0, -200.0]]), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx((160 + 200) / 2)
    assert torch.isfinite(student.grad).all()


def test_hidden_distance_measures_directions_alone() -> None:
    states = logits(10, 6, 8)
    assert hidden_distance(states, states).item() == pytest.approx(0, abs=1e-6)
    assert hidden_distance(states, 5 * states).item() == pytest.approx(0, abs=1e-6)
    assert hidden_distance(states, -states).item() == pytest.approx(2, abs=1e-6)
    right_angle = hidden_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]))
    assert right_angle.item() == pytest.approx(1)


def test_hidden_distance_agrees_with_torch() -> None:
    student, teacher = logits(11, 6, 8), logits(12, 6, 8)
    reference = functional.cosine_embedding_loss(student, teacher, torch.ones(6))
    assert hidden_distance(student, teacher).item() == pytest.approx(reference.item(), rel=1e-5)


def test_squared_error_is_the_mean_of_squares() -> None:
    assert squared_error(torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [2.0]])).item() == 2.5


# the reverse, and what is between


def test_the_reverse_is_the_divergence_with_the_sides_changed() -> None:
    student, teacher = logits(12, 5, 4), logits(13, 5, 4)
    torch.testing.assert_close(
        divergence(student, teacher, 2.0, 1.0), divergence(teacher, student, 2.0)
    )


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_a_beta_between_is_the_generalised_jensen_shannon_divergence(beta: float) -> None:
    student, teacher = logits(14, 5, 4), logits(15, 5, 4)
    p, q = (x.double().div(2.0).softmax(-1) for x in (teacher, student))
    m = beta * p + (1 - beta) * q
    by_hand = 4 * sum(
        share * (side * (side / m).log()).sum(-1).mean()
        for share, side in ((beta, p), (1 - beta, q))
    )
    found = divergence(student, teacher, 2.0, beta)
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-4)
    assert divergence(teacher, teacher, 2.0, beta).item() == pytest.approx(0, abs=1e-6)


def test_near_its_ends_the_mixture_is_the_one_or_the_other_divergence() -> None:
    """Divided by beta, or by 1 - beta (Agarwal et al. 2024, section 2)."""
    student, teacher = logits(16, 5, 4, scale=1.0), logits(17, 5, 4, scale=1.0)
    small = 1e-3
    near = divergence(student, teacher, 1.0, small) / small
    assert near.item() == pytest.approx(divergence(student, teacher, 1.0).item(), rel=0.02)
    near = divergence(student, teacher, 1.0, 1 - small) / small
    assert near.item() == pytest.approx(divergence(student, teacher, 1.0, 1.0).item(), rel=0.02)


def test_the_mixture_has_a_finite_gradient_where_a_teacher_is_sure() -> None:
    student = torch.tensor([[0.0, 0.0, 5.0]], requires_grad=True)
    loss = divergence(student, torch.tensor([[90.0, -90.0, -1e30]]), 1.0, 0.5)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(student.grad).all()
