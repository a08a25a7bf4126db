"""Relations and scores of attention: against plain references, by their properties, and from models
in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions
from compress_distill.attending import Side, attended
from compress_distill.loss import DistillationLoss, asked_of
from compress_distill.matching import Sides
from compress_distill.menu import RelationsLoss
from compress_distill.relations import (
    legal_heads,
    relations_distance,
    rows_divergence,
    scores,
    scores_error,
    usual_heads,
)
from tiny import (
    LABELS,
    WORDS,
    asking,
    make_artifact,
    read,
    save_bert,
    sentences,
    task_named,
    tiny_bert,
    word_processor,
)
from torch import Tensor, distributed
from transformers import AutoModel, PreTrainedModel

from compress.errors import UsageError
from compress.models import fresh_model, open_model
from compress.registry.plugins import load_plugins
from compress.sessions import TorchSession
from compress.teacher import Pairs, teacher_outputs
from compress.training.sharing import Transparent, sum_of

TASK = task_named("text-classification")
ROWS = read(sentences(8, 0), TASK)
FAMILIES = [entry.cls for entry in load_plugins().architectures.values()]
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).bool()


def vectors(seed: int, width: int = 12) -> Tensor:
    return torch.randn(3, 5, width, generator=torch.Generator().manual_seed(seed))


def by_hand(student: Tensor, teacher: Tensor, heads: int) -> float:
    """Token by token, head by head, without padding, in double precision."""
    found = []
    for example, mask in enumerate(MASK):
        count = int(mask.sum())
        for head in range(heads):
            sides = []
            for side in (student, teacher):
                size = side.shape[-1] // heads
                own = side[example, :count, head * size : (head + 1) * size].double()
                sides.append(torch.log_softmax(own @ own.T / math.sqrt(size), -1))
            log_q, log_p = sides
            found += (log_p.exp() * (log_p - log_q)).sum(-1).tolist()
    return sum(found) / len(found)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_relations_agree_with_a_plain_reference_also_where_widths_differ(heads: int) -> None:
    student, teacher = vectors(0, 8), vectors(1, 12)
    found = relations_distance(student, teacher, MASK, heads)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(by_hand(student, teacher, heads), rel=1e-5)


@pytest.mark.parametrize("heads", [1, 3, 12])
def test_a_teacher_has_no_relations_to_learn_from_itself(heads: int) -> None:
    same = vectors(2)
    assert relations_distance(same, same, MASK, heads).item() == pytest.approx(0, abs=1e-6)
    for seed in range(5):
        assert relations_distance(vectors(seed), vectors(seed + 9), MASK, heads).item() > 0


def test_another_basis_of_each_head_changes_no_relation_and_one_across_heads_does() -> None:
    student, teacher = vectors(3), vectors(4)
    turns = [torch.linalg.qr(vectors(seed, 4)[0, :4])[0] for seed in (5, 6, 7)]
    within = torch.block_diag(*turns)
    before = relations_distance(student, teacher, MASK, 3)
    torch.testing.assert_close(relations_distance(student @ within, teacher, MASK, 3), before)
    across = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(8)))[0]
    turned = relations_distance(student @ across, teacher, MASK, 3)
    assert abs(turned.item() - before.item()) > 1e-3
    one = relations_distance(student, teacher, MASK, 1)
    torch.testing.assert_close(relations_distance(student @ across, teacher, MASK, 1), one)


def test_padding_counts_neither_as_a_line_nor_as_a_column() -> None:
    own, theirs = scores(vectors(1), vectors(2), 3), scores(vectors(3), vectors(4), 3)
    padded = vectors(9)
    padded[MASK] = vectors(1)[MASK]
    other = scores(padded, padded, 3)
    for distance in (rows_divergence, scores_error):
        assert distance(own, own, MASK).item() == pytest.approx(0, abs=1e-6)
        plain = scores(vectors(1), vectors(1), 3)
        torch.testing.assert_close(distance(other, theirs, MASK), distance(plain, theirs, MASK))


def test_the_error_of_scores_is_the_mean_over_all_pairs_of_tokens() -> None:
    own, theirs = scores(vectors(1), vectors(2), 2), scores(vectors(3), vectors(4), 2)
    found = []
    for example, mask in enumerate(MASK):
        count = int(mask.sum())
        found += (own - theirs)[example, :, :count, :count].square().flatten().tolist()
    mean = sum(found) / len(found)
    assert scores_error(own, theirs, MASK).item() == pytest.approx(mean, rel=1e-5)


def test_a_batch_without_a_token_has_a_distance_of_zero_and_gradients() -> None:
    student = vectors(0).requires_grad_()
    none = torch.zeros(3, 5).bool()
    for found in (
        relations_distance(student, vectors(1), none, 2),
        scores_error(scores(student, student, 2), scores(vectors(1), vectors(1), 2), none),
    ):
        found.backward()
        assert found.item() == 0.0 and torch.isfinite(student.grad).all()


def test_half_precision_is_compared_in_float32() -> None:
    student, teacher = vectors(0).bfloat16(), vectors(1).bfloat16()
    found = relations_distance(student, teacher, MASK, 2)
    assert found.item() == relations_distance(student.float(), teacher.float(), MASK, 2).item()


def test_legal_heads_divide_every_width() -> None:
    assert legal_heads([12, 8]) == [1, 2, 4] and legal_heads([7]) == [1, 7]
    assert usual_heads([768]) == 48 and usual_heads([768, 384]) == 24 and usual_heads([8]) == 1


# of models


def batch_of(rows: Any) -> dict[str, Tensor]:
    features = TASK.features(rows, word_processor())
    arrays = TASK.collate(features, word_processor())
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.parametrize("kind", ["bert", "electra", "rembert", "distilbert"])
def test_scores_are_those_that_a_family_attends_by(kind: str) -> None:
    """So what is compared is its attention, where its layout says that it is a product."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    names = {"dim": 16, "n_heads": 2, "n_layers": 2, "hidden_dim": 16}
    shape = names if kind == "distilbert" else {**sizes, "intermediate_size": 16}
    config = {"type": kind, "vocab_size": len(WORDS), "initializer_range": 0.5, **shape}
    model = fresh_model(config, TASK, LABELS).eval()
    model.set_attn_implementation("eager")
    side, batch = Side(model, "teacher", FAMILIES), batch_of(ROWS)
    with torch.no_grad(), side.open([1]):
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        attentions = model(**inputs, output_attentions=True).attentions
        found = side.taken(1)
    mask = batch["attention_mask"].bool()
    own = scores(found["query"], found["key"], side.heads(1))
    shares = own.masked_fill(~mask[:, None, None], -1e30).softmax(-1)
    lines = mask[:, None, :].expand(shares.shape[:3])
    torch.testing.assert_close(shares[lines], attentions[1][lines], rtol=1e-4, atol=1e-5)


def test_one_layer_that_computes_all_three_is_taken_apart() -> None:
    torch.manual_seed(0)
    shape = {"n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 20, "n_inner": 16}
    model = fresh_model(
        {"type": "gpt2", "vocab_size": len(WORDS), "pad_token_id": 0, **shape}, TASK, LABELS
    ).eval()
    side = Side(model, "teacher", FAMILIES)
    assert [side.width(0, part) for part in ("query", "key", "value")] == [16, 16, 16]
    assert side.heads(0) == 2
    inputs = {name: batch_of(ROWS)[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad(), side.open([0]):
        states = model(**inputs, output_hidden_states=True).hidden_states[0]
        block = side.blocks[0]
        query, key, value = block.attn.c_attn(block.ln_1(states)).split(16, dim=-1)  # type: ignore
        model(**inputs)
        found = side.taken(0)
    for part, expected in (("query", query), ("key", key), ("value", value)):
        torch.testing.assert_close(found[part], expected)


def losses_of(student: Any, teacher: Any, store: Path, losses: Any, **options: Any) -> list[float]:
    """The values of the terms of a loss, with the teacher in memory."""
    chosen = DistillOptions(losses=losses, **options)
    model = open_model(student, TASK)
    layers = Sides.of(model, (), teacher, FAMILIES).layers
    outputs = teacher_outputs(
        asking(TASK, ROWS, store), teacher, "train", asked_of(chosen, layers), word_processor()
    )
    assert outputs.model is not None
    with attended(model, outputs.model, chosen.losses, layers, FAMILIES) as layers_compared:
        loss = DistillationLoss(
            outputs, chosen.losses, TASK, layers=layers, attended=layers_compared
        )
        terms = loss(model, batch_of(ROWS), torch.arange(len(ROWS)))
        sum(term.value for term in terms).backward()  # type: ignore[union-attr]
    assert any(weight.grad is not None for weight in model.parameters())
    return [float(term.value.detach()) for term in terms]


EVERY: list[Any] = [
    {"relations": {"layers": "uniform", "heads": 4}},
    {"attention": {"layers": {0: 1}}},
    {"attention": {"distance": "divergence"}},
    "logits",
    "hidden",
]


def test_a_teacher_has_nothing_to_teach_itself(tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "t", TASK, num_hidden_layers=2)
    losses = [*EVERY[:1], {"attention": {"layers": {1: 1}}}, *EVERY[2:]]
    for value in losses_of(teacher, teacher, tmp_path / "store", losses):
        assert abs(value) < 1e-5


def test_losses_compare_the_layers_that_are_asked_for(tmp_path: Path) -> None:
    teacher = save_bert(tmp_path / "t", TASK, num_hidden_layers=4)
    student = save_bert(tmp_path / "s", TASK, num_hidden_layers=2, seed=3)
    found = losses_of(student, teacher, tmp_path / "store", EVERY)
    batch, expected = batch_of(ROWS), []
    mask = batch["attention_mask"].bool()
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}

    def parts(artifact: Any, place: int) -> list[Tensor]:
        model: PreTrainedModel = open_model(artifact, TASK)
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states[place]
            own = model.bert.encoder.layer[place].attention.self  # type: ignore[union-attr, index]
            return [own.query(states), own.key(states), own.value(states)]

    for place, other in ((0, 1), (1, 3)):
        pairs = zip(parts(student, place), parts(teacher, other), strict=True)
        three = [relations_distance(own, theirs, mask, 4).item() for own, theirs in pairs]
        expected.append(sum(three) / 3 / 2)
    for place, other, distance in ((0, 1, scores_error), (1, 3, rows_divergence)):
        sides = [parts(student, place), parts(teacher, other)]
        own, theirs = (scores(query, key, 2) for query, key, _ in sides)
        expected.append(distance(own, theirs, mask).item())
    assert found[:4] == pytest.approx(expected, rel=1e-4) and len(found) == 6


def test_a_narrower_student_with_other_heads_learns_relations(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", TASK, num_hidden_layers=2)
    wide = save_bert(tmp_path / "wide", TASK, hidden_size=24, num_attention_heads=3)
    made = make_artifact(
        tmp_path / "made",
        "distill",
        TASK,
        {"train": sentences(12, 0), "test": sentences(6, 1)},
        input=given,
        references={"teacher": wide},
        teacher="x",
        losses=[{"relations": {"of": ["value", "query"]}}, "labels"],
        epochs=1,
        batch_size=4,
        precision="fp32",
    )
    assert AutoModel.from_pretrained(made.folder).config.hidden_size == 16
    assert not list((tmp_path / "store").rglob("*teacher-outputs*"))


class Answering:
    """A teacher in memory that answers nothing but what is seen within it."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self._session = model, TorchSession(model, "cpu")

    def pairs(self, student: Any, batch: Any, indices: Any) -> Pairs:
        self._session.forward(batch)
        return Pairs()


@pytest.mark.parametrize("losses", [["relations"], [{"attention": {"layers": {0: 1}}}]])
def test_processes_that_share_a_training_lack_no_gradient(losses: Any, tmp_path: Path) -> None:
    """Nothing behind the layers that are compared has a gradient of its own."""
    teacher, student = tiny_bert(TASK, num_hidden_layers=2).eval(), tiny_bert(TASK, seed=3)
    options, batch = DistillOptions(teacher="x", losses=losses), batch_of(ROWS)
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        shared = Transparent(student, find_unused_parameters=True)
        outputs: Any = Answering(teacher)
        with attended(student, teacher, options.losses, (1, 2), FAMILIES) as compared:
            loss = DistillationLoss(
                outputs, options.losses, TASK, attended=compared, layers=(1, 2), is_shared=True
            )
            values = []
            for _ in range(2):  # the second step finds what the first one lacked
                terms = loss(shared, dict(batch), torch.arange(len(ROWS)))
                values.append([float(term.value.detach()) for term in terms])
                sum_of(terms).backward()
    finally:
        distributed.destroy_process_group()
    assert values[0][-1] == 0.0 and values[0][0] > 0
    grad = student.bert.encoder.layer[0].attention.self.query.weight.grad  # type: ignore
    assert float(grad.norm()) > 0


# what is refused


def test_losses_that_cannot_be_computed_are_refused(tmp_path: Path) -> None:
    teacher, student = tiny_bert(TASK, num_hidden_layers=2), tiny_bert(TASK, hidden_size=24)
    mine, other = tiny_bert(TASK), tiny_bert(TASK, num_attention_heads=4)
    rows = {"num_key_value_heads": 1, "max_position_embeddings": 20, "pad_token_id": 0}
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    kinds = {
        "llama": {**size, **rows, "intermediate_size": 16},
        "albert": {**size, "intermediate_size": 16, "embedding_size": 16},
        "t5": {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 16},
    }
    llama, albert, t5 = (
        fresh_model({"type": kind, "vocab_size": len(WORDS), **shape}, TASK, LABELS)
        for kind, shape in kinds.items()
    )
    cases: list[tuple[Any, Any, Any, str]] = [
        (student, teacher, {"relations": {"heads": 3}}, "24 and 16: take one of 1, 2, 4, 8"),
        (mine, other, "attention", "the student has 2 heads and the teacher 4"),
        (mine, llama, "attention", "the scores of the teacher, a llama model"),
        (albert, teacher, "relations", "the student, a albert model, is of a family without"),
        (mine, t5, "relations", "the teacher, a t5 model, has several stacks"),
        (mine, teacher, {"relations": {"layers": {0: 2}}}, "the teacher has no layer 2"),
        (mine, llama, {"relations": {"heads": 16}}, "16 and 8: take one of 1, 2, 4, 8"),
    ]
    for own, theirs, loss, words in cases:
        losses = DistillOptions(losses=[loss]).losses
        with (
            pytest.raises(UsageError, match=words),
            attended(own, theirs, losses, (1, 2), FAMILIES),
        ):
            pass


def test_what_relations_compare_is_never_kept() -> None:
    for losses in (["relations"], ["logits", "attention"]):
        options = DistillOptions(teacher="x", losses=losses, keep="all")
        assert [mistake.option for mistake in Distill.check(options)] == ["keep"]
        assert not Distill.check(DistillOptions(teacher="x", losses=losses))
    assert RelationsLoss().of == ["query", "key", "value"]
