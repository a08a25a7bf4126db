"""Which layers are compared, embeddings, and the projection where widths differ."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions, distill
from compress_distill.rows import Learned
from compress_distill.student import Student
from tiny import asking, make_artifact, read, save_bert, sentences, task_named, word_processor
from trainings import OPTIONS, Given, Interrupted, equal
from transformers import AutoModelForSequenceClassification

from compress.artifact import Artifact
from compress.distilling.learned import layer_distances, nearest_in_order
from compress.distilling.loss import DistillationLoss, asked_of
from compress.distilling.losses import states_distance
from compress.distilling.matching import Sides, all_matched, matched, projected
from compress.distilling.menu import EmbeddingsLoss, HiddenLoss, Lesson
from compress.errors import UsageError
from compress.models import open_model
from compress.teacher import teacher_outputs
from compress.teachers import TeacherWeight
from compress.training import TrainingOptions, fit, reporter

TASK = task_named("text-classification")
ROWS = read(sentences(12, 0), TASK)
WIDE = Sides((1, 2), 16, 24)


def test_uniform_compares_each_layer_with_one_as_far_along() -> None:
    uniform = HiddenLoss(layers="uniform")
    assert matched(uniform, (3, 6)) == [(1, 2), (2, 4), (3, 6)]
    assert matched(uniform, (2, 2)) == [(1, 1), (2, 2)]
    for own in range(1, 9):
        for theirs in range(1, 13):
            places = matched(uniform, (own, theirs))
            assert places[-1] == (own, theirs) and len(places) == own
            assert places == sorted(places) and all(1 <= other <= theirs for _, other in places)


def test_listed_layers_are_numbered_from_0_and_must_be_there() -> None:
    assert matched(HiddenLoss(layers={0: 1, 2: 5}), (3, 6)) == [(1, 2), (3, 6)]
    with pytest.raises(UsageError, match="the student has no layer 3, its layers are numbered"):
        matched(HiddenLoss(layers={3: 0}), (3, 6))
    with pytest.raises(UsageError, match="the teacher has no layer 6"):
        matched(HiddenLoss(layers={0: 6}), (3, 6))
    with pytest.raises(UsageError, match="take layers: last"):
        matched(HiddenLoss(layers="uniform"), None)
    assert matched(HiddenLoss(), None) == [(-1, -1)] and matched(EmbeddingsLoss(), None) == [(0, 0)]


def test_listed_layers_come_from_a_recipe_as_they_are_written() -> None:
    text = '{"losses": [{"hidden": {"layers": {"0": 1, "1": 3}}}]}'
    options = DistillOptions.model_validate_json(text)
    assert options.losses[0].hidden is not None and options.losses[0].hidden.layers == {0: 1, 1: 3}
    assert DistillOptions.model_validate_json(options.model_dump_json()) == options


def test_nearest_layers_are_those_in_order_with_the_least_sum() -> None:
    assert nearest_in_order(torch.tensor([[0.0, 1.0, 2.0], [5.0, 1.0, 0.0]])) == [0, 2]
    # Each line alone would take the columns 2 and 0.
    assert nearest_in_order(torch.tensor([[3.0, 2.0, 0.0], [0.0, 2.0, 9.0]])) == [0, 0]
    for seed in range(20):
        table = torch.rand(3, 4, generator=torch.Generator().manual_seed(seed))
        chosen = nearest_in_order(table)
        sums = {
            tuple(places): float(table[range(3), list(places)].sum())
            for places in combinations_with_replacement(range(4), 3)
        }
        assert sums[tuple(chosen)] == pytest.approx(min(sums.values()))


def test_all_layers_are_as_far_from_each_other_as_the_losses_say() -> None:
    own, theirs = torch.randn(2, 9, 8), torch.randn(3, 9, 8)
    for distance in ("cosine", "mse"):
        found = layer_distances(own, theirs, distance)
        plain = [[float(states_distance(a, b, distance)) for b in theirs] for a in own]
        scale = plain[0][0] / float(found[0, 0])
        torch.testing.assert_close(found * scale, torch.tensor(plain), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("own", [2, 4])
def test_learned_layers_are_the_nearest_ones(own: int, tmp_path: Path) -> None:
    """A student of some of its teacher's layers, without those between, is compared with each
    where it came from; a deeper one too."""
    teacher = save_bert(tmp_path / "t", TASK, num_hidden_layers=3)
    student = save_bert(tmp_path / "s", TASK, num_hidden_layers=own, seed=3)
    learned = DistillOptions(losses=[{"hidden": {"layers": "learned", "distance": "mse"}}])
    found = losses_of(learned, student, teacher, tmp_path / "store")
    listed: dict[Any, float] = {}
    for one in range(own):
        for other in range(3):
            loss = {"hidden": {"layers": {one: other}, "distance": "mse"}}
            options = DistillOptions(losses=[loss])
            terms = losses_of(options, student, teacher, tmp_path / "store")
            listed[one, other] = float(terms[0])
    sums = [
        sum(listed[one, other] for one, other in enumerate(places))
        for places in combinations_with_replacement(range(3), own)
    ]
    assert len(found) == own
    assert float(sum(found)) * own == pytest.approx(min(sums), rel=1e-3)


def losses_of(options: DistillOptions, student: Artifact, teacher: Artifact, store: Path) -> Any:
    """The values of the terms of each loss."""
    model = open_model(student, TASK)
    sides = Sides.of(model, (), teacher, [])
    asked = asked_of(Lesson(options.losses), sides.layers)
    context = asking(TASK, ROWS, store)
    outputs = teacher_outputs(context, teacher, "train", asked, word_processor())
    loss = DistillationLoss(outputs, options.losses, TASK, layers=sides.layers)
    features = TASK.features(ROWS, word_processor())
    arrays = TASK.collate(features, word_processor())
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad(), projected(model, all_matched(options.losses, sides.layers), sides):
        return [term.value for term in loss(model, batch, torch.arange(len(ROWS)))]


def test_each_loss_compares_its_own_layers(tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "t", TASK, num_hidden_layers=4)
    student = save_bert(tmp_path / "s", TASK, num_hidden_layers=2, seed=3)
    uniform = {"hidden": {"layers": "uniform", "distance": "mse"}}
    options = DistillOptions(losses=["hidden", uniform, "embeddings"])
    last, first, second, embeddings = losses_of(options, student, teacher, tmp_path / "store")
    states = []
    for artifact in (student, teacher):
        features = TASK.features(ROWS, word_processor())
        batch = TASK.collate(features, word_processor())
        inputs = {n: torch.from_numpy(batch[n]) for n in ("input_ids", "attention_mask")}
        with torch.no_grad():
            found = open_model(artifact, TASK)(**inputs, output_hidden_states=True)
        states.append([s[inputs["attention_mask"].bool()] for s in found.hidden_states])
    (own, theirs) = states

    def squares(one: int, other: int) -> torch.Tensor:
        return (own[one] - theirs[other]).square().mean()

    cosine = torch.nn.functional.cosine_similarity(own[2], theirs[4]).mean()
    close = {"rtol": 1e-3, "atol": 1e-4}  # kept in float16
    torch.testing.assert_close(last, 1 - cosine, **close)
    torch.testing.assert_close(first, squares(1, 2) / 2, **close)
    torch.testing.assert_close(second, squares(2, 4) / 2, **close)
    torch.testing.assert_close(embeddings, squares(0, 0), **close)


def test_a_teacher_has_no_embeddings_to_teach_itself(tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "t", TASK, num_hidden_layers=2)
    options = DistillOptions(losses=["embeddings", {"hidden": {"layers": "uniform"}}])
    for value in losses_of(options, teacher, teacher, tmp_path / "store"):
        assert abs(float(value)) < 1e-4


@pytest.mark.parametrize(
    "losses",
    [
        ["logits", "hidden", "embeddings"],
        ["hidden", {"hidden": {"layers": "uniform"}}, {"hidden": {"layers": "learned"}}],
    ],
)
def test_a_narrower_student_learns_by_a_projection_that_it_does_not_keep(
    losses: list[Any], tmp_path: Path
) -> None:
    wide = save_bert(tmp_path / "wide", TASK, hidden_size=24)
    given = save_bert(tmp_path / "given", TASK)
    splits = {"train": sentences(20, 0), "test": sentences(6, 1)}
    made = make_artifact(
        tmp_path / "a",
        "distill",
        TASK,
        splits,
        input=given,
        references={"teacher": wide},
        teacher="x",
        losses=losses,
        epochs=1,
        batch_size=4,
        precision="fp32",
    )
    model, info = AutoModelForSequenceClassification.from_pretrained(
        made.folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.hidden_size == 16 and made.manifest.parameters == sum(
        weight.numel() for weight in model.parameters()
    )


def trained(given: Given, student: Artifact, teacher: Artifact) -> dict[str, torch.Tensor]:
    """The weights, with those of the projection, after a training."""
    options = DistillOptions(losses=["hidden"])
    torch.manual_seed(0)
    model = open_model(student, TASK).train()
    sides = Sides.of(model, (), teacher, [])
    outputs = teacher_outputs(
        asking(TASK, ROWS, given.work),
        teacher,
        "train",
        asked_of(Lesson(options.losses)),
        word_processor(),
    )
    loss = DistillationLoss(outputs, options.losses, TASK)
    data = SimpleNamespace(
        labels=(), digest="d", rows={"train": ROWS, "validation": []}.__getitem__
    )
    with projected(model, all_matched(options.losses, None), sides):
        training = TrainingOptions(**{**OPTIONS, "epochs": 2})
        fit(model, given, training, loss=loss, processor=word_processor(), data=data)
        return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_resumed_training_with_a_projection_ends_in_the_same_bits(tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "t", TASK, hidden_size=24)
    student = save_bert(tmp_path / "s", TASK, seed=3)

    def given(name: str, **asked: Any) -> Given:
        return Given(tmp_path / name, task=TASK, **asked)

    unbroken = trained(given("unbroken"), student, teacher)
    assert any("distillation" in name for name in unbroken)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        trained(given("work", stop_at=3), student, teacher)
    again = given("work")
    resumed = trained(again, student, teacher)
    assert again.steps[0] > 1 and equal(unbroken, resumed)


def test_phases_train_one_after_the_other(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", TASK, num_hidden_layers=2)
    splits = {"train": sentences(20, 0), "test": sentences(6, 1)}
    common = {"student": {"layers": 1}, "batch_size": 4, "precision": "fp32"}
    phases = [{"losses": ["hidden"], "epochs": 1.0}, {"losses": ["logits"], "epochs": 2.0}]

    def student(name: str, **options: Any) -> Artifact:
        return make_artifact(
            tmp_path / name, "distill", TASK, splits, input=given, **common, **options
        )

    made = student("two", phases=phases)
    assert [facts["steps"] for facts in made.manifest.notes["phases"]] == [5, 10]
    assert made.digest == student("again", phases=phases).digest
    assert made.digest != student("one", losses=["logits"], epochs=2.0).digest


def in_phases(folder: Path, store: Path, teacher: Artifact, **asked: Any) -> tuple[Given, Any]:
    """What a stage gives to ``distill.trained``, and a function that trains a narrower student."""
    given: Any = Given(folder, task=TASK, **asked)
    phases = [{"losses": ["hidden"], "epochs": 1.0}, {"losses": ["logits"], "epochs": 2.0}]
    given.options = DistillOptions(teacher="x", phases=phases, batch_size=4, precision="fp32")
    given.architectures, given.digest = [], "rows"
    given.product = asking(TASK, ROWS, store).product
    student = save_bert(folder / "student", TASK, seed=3, hidden_size=8)

    def train() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = open_model(student, TASK).train()
        distill.trained(
            given,
            Student(model, word_processor(), (), {}),
            [TeacherWeight(teacher)],
            Learned(given),
        )
        return {name: value.clone() for name, value in model.state_dict().items()}

    return given, train


@pytest.mark.parametrize("stop_at", [5, 11])
def test_phases_that_are_interrupted_go_on_to_the_same_bits(stop_at: int, tmp_path: Path) -> None:
    """In the first phase, of 7 steps, and in the second, of 14."""
    teacher = save_bert(tmp_path / "teacher", TASK)
    store = tmp_path / "store"
    unbroken = in_phases(tmp_path / "unbroken", store, teacher)[1]()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        in_phases(tmp_path / "work", store, teacher, stop_at=stop_at)[1]()
    again, train = in_phases(tmp_path / "work", store, teacher)
    assert equal(unbroken, train())
    assert sum("continuing from step" in note for note in again.notes) >= 1
    assert "phase 2 of 2" in again.notes


def test_phases_stand_in_place_of_losses_and_epochs() -> None:
    phases = [{"losses": ["labels"]}, {"losses": ["hidden"]}]
    options = DistillOptions(teacher="x", phases=phases, epochs=2.0)
    assert [mistake.option for mistake in Distill.check(options)] == ["epochs"]
