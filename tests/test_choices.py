"""Some choices that stand for an answer over many: what is drawn, what is kept of it in files, and
how large that is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from compress import choices as module
from compress.choices import Choices, sampled, top
from compress.distillable import Distillable, Keep
from compress.errors import UsageError
from compress.keptanswers import AnswersWriter, KeptAnswers, kept_names
from compress.pairing import Keeping, paired


def logits(seed: int, *shape: int, scale: float = 3.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def drawn(values: Tensor, seed: int = 0, draws: int = 50, temperature: float = 1.0) -> Choices:
    return sampled(values, None, temperature, draws, torch.Generator().manual_seed(seed))


def dense(made: Choices) -> Tensor:
    """The weights [n, width], 0 where a choice is not there."""
    spread = torch.zeros(len(made), made.width)
    spread[made.lines, made.ids] = made.weights
    return spread


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_the_mean_of_many_samples_is_the_distribution_at_the_temperature(
    temperature: float,
) -> None:
    values = logits(0, 4, 30)
    mean = sum(dense(drawn(values, s, 50, temperature)) for s in range(400)) / 400
    wanted = (values / temperature).softmax(-1)
    error = (wanted * (1 - wanted) / (50 * 400)).sqrt()
    assert ((mean - wanted).abs() <= 5 * error + 1e-4).all()


def test_each_answer_has_distinct_choices_whose_weights_are_1_together() -> None:
    made = drawn(logits(1, 7, 40))
    for i in range(7):
        one = made.part(i, i + 1)
        assert len(set(one.ids.tolist())) == len(one.ids)
        assert one.weights.sum().item() == pytest.approx(1)
    told = torch.zeros(7).index_add_(
        0, made.lines, made.weights * logits(1, 7, 40).log_softmax(-1)[made.lines, made.ids]
    )
    torch.testing.assert_close(made.constants, told)


def test_blocks_and_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = logits(2, 9, 40)
    rows = torch.tensor([7, 0, 3, 4])
    whole = top(values[rows], None, 2.0, 5)
    monkeypatch.setattr(module, "BLOCK", 80)
    for one, other in ((top(values, rows, 2.0, 5), whole), (drawn(values), drawn(values, 0))):
        assert torch.equal(one.ids, other.ids) and torch.equal(one.starts, other.starts)
        torch.testing.assert_close(one.constants, other.constants)


def test_top_choices_and_the_others_together_are_1() -> None:
    values = logits(3, 6, 50)
    made = top(values, None, 1.5, 8)
    shares = (values / 1.5).softmax(-1)
    torch.testing.assert_close(dense(made).sum(-1) + made.constants, torch.ones(6))
    torch.testing.assert_close(made.weights.view(6, 8), shares.topk(8).values)
    all_of_them = top(values, None, 1.5, 200)
    assert not all_of_them.constants.any() and len(all_of_them.ids) == 6 * 50


# files


def written(
    folder: Path, parts: list[tuple[list[int], Distillable]], keeping: Keeping
) -> KeptAnswers:
    examples = sum(len(places) for places, _ in parts)
    with AnswersWriter(folder, "answers-0", examples, keeping) as writer:
        for places, part in parts:
            writer.add(places, part)
    assert kept_names(folder) == ["answers-0"]
    return KeptAnswers(folder, "answers-0")


def two_batches(width: int) -> list[tuple[list[int], Distillable]]:
    """Two batches of two examples, with 3, 1, 0 and 2 answers."""
    mask = torch.tensor([[1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1]]).bool()
    values = logits(4, 4, 3, width)
    return [
        ([2, 0], Distillable(values[:2], mask[:2])),
        ([1, 3], Distillable(values[2:], mask[2:])),
    ]


@pytest.mark.parametrize("form", ["sample", "top"])
@pytest.mark.parametrize("width", [40, 70_000])
def test_what_is_kept_is_read_in_any_order(form: Keep, width: int, tmp_path: Path) -> None:
    keeping = Keeping(form, choices=20, temperature=2.0)
    batches = two_batches(width)
    file = written(tmp_path, batches, keeping)
    read = file.read([0, 1, 2, 3])
    assert read.counts == [1, 0, 3, 2] and isinstance(read.lines, Choices)
    (_, first), (_, second) = batches
    lines = torch.cat([first.values[1, 1:2], first.values[0], second.values[1][[0, 2]]])
    shares = (lines / 2.0).softmax(-1)
    kept = read.lines
    if form == "top":
        assert torch.equal(
            kept.ids.view(6, 20).sort().values, shares.topk(20).indices.sort().values
        )
        torch.testing.assert_close(dense(kept)[kept.lines, kept.ids], kept.weights)
        torch.testing.assert_close(dense(kept).sum(-1) + kept.constants, torch.ones(6))
        torch.testing.assert_close(kept.weights, shares[kept.lines, kept.ids], rtol=2e-3, atol=1e-7)
    else:
        torch.testing.assert_close(dense(kept).sum(-1), torch.ones(6))
        told = torch.zeros(6).index_add_(
            0, kept.lines, kept.weights * shares.log()[kept.lines, kept.ids]
        )
        torch.testing.assert_close(kept.constants, told)
    again = file.read([3, 2])
    assert isinstance(again.lines, Choices)
    torch.testing.assert_close(dense(again.lines), dense(kept)[[4, 5, 1, 2, 3]])
    assert file.read([1]).counts == [0]


def test_what_is_drawn_depends_on_the_batch_alone(tmp_path: Path) -> None:
    """So a teacher that is asked again is kept in equal bytes."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, two_batches(2000), Keeping("sample"))
    a, b = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("a", "b")
    )
    assert a == b


def test_a_token_of_a_large_vocabulary_takes_about_a_hundred_bytes(tmp_path: Path) -> None:
    """Whole, it would take 128,000. These logits are as a language model's: about 12 of 50 draws
    differ."""
    values = -2.5 * (1 + torch.arange(32_000)).log() + logits(5, 4, 60, 32_000, scale=1.0)
    part = Distillable(values, torch.ones(4, 60).bool())
    sizes = {}
    for form in ("sample", "top"):
        folder = tmp_path / form
        folder.mkdir()
        keeping = Keeping("sample" if form == "sample" else "top", choices=50)
        written(folder, [([0, 1, 2, 3], part)], keeping)
        sizes[form] = sum(file.stat().st_size for file in folder.iterdir()) / 240
    assert 20 < sizes["sample"] < 100, sizes
    assert sizes["top"] < 220, sizes


def test_few_choices_are_kept_whole_and_many_are_sampled(tmp_path: Path) -> None:
    for width, kind in ((1024, Tensor), (1025, Choices)):
        folder = tmp_path / str(width)
        folder.mkdir()
        part = Distillable(logits(6, 2, width))
        assert isinstance(written(folder, [([0, 1], part)], Keeping()).read([0]).lines, kind)
    whole = tmp_path / "whole"
    whole.mkdir()
    part = Distillable(logits(6, 2, 1025))
    lines = written(whole, [([0, 1], part)], Keeping("all")).read([1, 0]).lines
    assert isinstance(lines, Tensor) and torch.equal(lines, part.values[[1, 0]])


def test_many_choices_of_which_every_one_is_needed_are_refused(tmp_path: Path) -> None:
    part = Distillable(logits(6, 2, 1025))
    with pytest.raises(UsageError, match="1025 for each answer are too many.* keep: nothing"):
        written(tmp_path, [([0, 1], part)], Keeping(exact=True))


def test_a_student_of_another_width_is_refused() -> None:
    with pytest.raises(UsageError, match="have a width of 40, and the student's of 30"):
        paired(Distillable(logits(7, 2, 30)), drawn(logits(7, 2, 40)))
