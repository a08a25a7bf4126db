"""Students that are cut by what a probe says, and what a student and a teacher must agree on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from compress_distill import Distill, DistillOptions, StudentOptions
from tiny import (
    LABELS,
    TAGS,
    WORDS,
    make_artifact,
    read,
    save_bert,
    sentences,
    task_named,
    word_processor,
)
from tokenizers import models as tokenizer_models

from compress import surgery
from compress.artifact import Artifact, Manifest, Traits, with_files
from compress.errors import CompressError, UsageError
from compress.models import load_config, open_model
from compress.probe import Probe
from compress.registry.plugins import load_plugins
from compress.serving import open_predictor
from compress.sizes import layout_of
from compress.workers.jobs import configuring
from compress.workers.protocol import Chosen, ConfigureModel

CLASSIFY, TAG = task_named("text-classification"), task_named("token-classification")
SPLITS = {"train": sentences(20, 0), "test": sentences(6, 1)}
OPTIONS = {"epochs": 1, "batch_size": 4, "precision": "fp32", "losses": ["logits"]}
DEEP = {"num_hidden_layers": 4}
ARCHITECTURES = [entry.cls for entry in load_plugins().architectures.values()]


def made(folder: Path, given: Artifact, student: Any, **options: Any) -> Artifact:
    return make_artifact(
        folder, "distill", CLASSIFY, SPLITS, input=given, student=student, **{**OPTIONS, **options}
    )


def probe_of(model: Any) -> Probe:
    rows = read(SPLITS["train"], CLASSIFY)
    context: Any = SimpleNamespace(task=CLASSIFY, seed=3)
    data: Any = SimpleNamespace(rows=lambda split: rows)
    return Probe(context, data, word_processor(), model)


def test_a_layer_that_changes_nothing_has_no_influence_and_goes_first(tmp_path: Path) -> None:
    artifact = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    model = open_model(artifact, CLASSIFY)
    silent = model.bert.encoder.layer[2]
    with torch.no_grad():
        for dense in (silent.attention.output.dense, silent.output.dense):
            dense.weight.zero_()
            dense.bias.zero_()
    (stack,) = layout_of("bert", ARCHITECTURES)[1].stacks
    probe = probe_of(model)
    batches = probe.batches(10)
    assert sum(len(batch["input_ids"]) for batch in batches) == 10
    scores = probe.influences(surgery.blocks_of(model, stack), batches)
    # Its norms stay: they scale each place a little differently.
    assert scores.index(min(scores)) == 2 and min(scores) < 0.01 < max(scores) <= 2
    model.save_pretrained(artifact.folder)
    with_files(artifact.manifest, artifact.folder).write(artifact.folder)
    again = made(
        tmp_path / "made",
        Artifact.open(artifact.folder),
        {"layers": {"count": 3, "by": "influence"}},
    )
    assert again.manifest.notes["student"] == {"layers": [0, 1, 3]}
    assert again.traits.shape == "stock"


def test_layers_are_chosen_evenly_where_that_is_said() -> None:
    options = StudentOptions.model_validate({"layers": {"count": 2, "by": "even"}})
    assert options.kept == 2
    stacks = StudentOptions.model_validate({"layers": {"encoder": {"count": 2}, "decoder": [1]}})
    assert stacks.kept == {"encoder": 2, "decoder": [1]}
    milder = Distill.back_off(DistillOptions(student={"layers": {"count": 2}, "hidden": 0.5}))
    assert milder is not None and isinstance(milder.student, StudentOptions)
    assert (milder.student.kept, milder.student.hidden) == (3, 0.5)


def test_a_narrow_student_with_small_embeddings_learns_and_opens_again(tmp_path: Path) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    student = made(
        tmp_path / "made", given, {"layers": 2, "hidden": 0.5, "embeddings": 3, "probe": 12}
    )
    assert student.traits.shape == "free"
    assert (
        Distill.produces(
            Traits(), DistillOptions(student={"hidden": 0.5}), "text-classification"
        ).shape
        == "free"
    )
    notes = student.manifest.notes["student"]
    assert (notes["layers"], notes["hidden"]) == ([0, 3], 8) and 0 < notes["embeddings_kept"] < 1
    model: Any = open_model(student, CLASSIFY)
    assert model.bert.embeddings.word_embeddings.weight.shape == (len(WORDS), 3)
    assert model.bert.embeddings.word_embeddings(torch.tensor([5])).shape == (1, 8)
    assert model.bert.encoder.layer[0].attention.self.query.weight.shape == (16, 8)
    again = made(
        tmp_path / "again", given, {"layers": 2, "hidden": 8, "embeddings": 3, "probe": 12}
    )
    for one, other in zip(
        model.parameters(), open_model(again, CLASSIFY).parameters(), strict=True
    ):
        assert torch.equal(one, other)
    # It is a model as any other: a student is cut from it again.
    smaller = made(tmp_path / "smaller", student, {"layers": 1})
    assert open_model(smaller, CLASSIFY).bert.embeddings.word_embeddings.weight.shape[1] == 3


def test_a_narrow_student_learns_hidden_states_and_teaches_them(tmp_path: Path) -> None:
    """Its config still states the width of what it was cut from: the edits tell."""
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    losses = ["logits", "hidden", "embeddings"]
    wanted = {"layers": 2, "hidden": 6, "embeddings": 3, "probe": 12}
    student = made(tmp_path / "made", given, wanted, losses=losses)
    assert load_config(student.folder).hidden_size == 16
    assert set(student.manifest.files) == set(given.manifest.files)  # no projection is left
    smaller = made(tmp_path / "smaller", student, {"layers": 1, "hidden": 4}, losses=losses)
    assert open_model(smaller, CLASSIFY).bert.pooler.dense.weight.shape[1] == 4
    wide = made(
        tmp_path / "wide",
        given,
        {"layers": 1},
        losses=losses,
        teacher="teacher",
        references={"teacher": student},
    )
    assert wide.traits.shape == "stock"


@pytest.mark.slow
def test_the_onnx_file_of_a_narrow_student_with_small_embeddings_gives_its_logits(
    tmp_path: Path,
) -> None:
    given = save_bert(tmp_path / "given", CLASSIFY, **DEEP)
    wanted = {"layers": 2, "hidden": 6, "embeddings": 3, "probe": 12}
    student = made(tmp_path / "made", given, wanted)
    for stage, most in (("export.onnx", 1e-4), ("quantize.onnx", 0.1)):
        graph = make_artifact(tmp_path / stage, stage, CLASSIFY, SPLITS, input=student)
        assert abs(logits(student) - logits(graph)).max() < most


def logits(artifact: Artifact) -> Any:
    """The answers of the artifact's engine to the test rows."""
    features = CLASSIFY.features(read(SPLITS["test"], CLASSIFY), word_processor())
    session = open_predictor(artifact.folder, load_plugins()).session
    return session.run(CLASSIFY.collate(features, word_processor()))["logits"]


# what a teacher and a student must agree on


def with_words(folder: Path, words: list[str]) -> Artifact:
    """A teacher whose tokenizer has these words, in this order."""
    save_bert(folder, CLASSIFY, vocab_size=len(words))
    other = word_processor()
    ids = {word: i for i, word in enumerate(words)}
    other.tokenizer.model = tokenizer_models.WordLevel(ids, unk_token="[UNK]")
    other.save(folder)
    with_files(Manifest.read(folder), folder).write(folder)
    return Artifact.open(folder)


def labelled(folder: Path, *labels: str) -> Artifact:
    return save_bert(folder, CLASSIFY, labels)


SWAPPED = [*WORDS[:5], "bad", "good", *WORDS[7:]]
FRESH = {"type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
Teacher = Callable[[Path], Artifact] | None
MISMATCHES: dict[str, tuple[Teacher, Any, str]] = {
    "other tokens of the same number": (
        lambda folder: with_words(folder, SWAPPED),
        None,
        "id 5 is 'bad' and 'good'; take a teacher with the student's tokenizer",
    ),
    "more tokens": (
        lambda folder: with_words(folder, [*WORDS, "more"]),
        None,
        "22 tokens and 21; take a teacher",
    ),
    "permuted labels": (
        lambda folder: labelled(folder, *LABELS[::-1]),
        None,
        "its output 0 is 'good', and there 'bad': state its order with data.labels",
    ),
    "missing label": (
        lambda folder: labelled(folder, "bad", "better"),
        None,
        "it has no good: fine-tune it on these data first",
    ),
    "label besides": (
        lambda folder: labelled(folder, *LABELS, "best"),
        None,
        "it has best besides: state all its labels",
    ),
    "another task": (
        lambda folder: save_bert(folder, TAG, TAGS),
        None,
        "the teacher serves token-classification.* fine-tune it for that",
    ),
    "longer texts than positions": (
        None,
        {**FRESH, "max_position_embeddings": 8},
        "16 .*positions",
    ),
    "fewer embeddings than tokens": (
        None,
        {**FRESH, "vocab_size": 10},
        "vocab_size: 10 is too small.* leave it out",
    ),
    "a layer that is not there": (None, {"layers": [0, 4]}, "numbered from 0 to 3"),
    "a stack that is not there": (None, {"layers": {"encoder": 1}}, "give a number or a list"),
    "a wider student": (None, {"hidden": 16}, "hidden: 16 is not less than .* take less"),
    "embeddings of full rank": (
        None,
        {"embeddings": 16},
        "embeddings: 16 is not less .* take less",
    ),
    "embeddings that are no smaller": (None, {"embeddings": 12}, "no smaller .* at most 9"),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("given") / "model", CLASSIFY, **DEEP)


@pytest.mark.parametrize("kind", MISMATCHES)
def test_a_mismatch_is_refused_before_any_training(
    kind: str, given: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.distilling.learning.fit", None)
    make_teacher, student, words = MISMATCHES[kind]
    teacher = {"teacher": make_teacher(tmp_path / "teacher")} if make_teacher else {}
    with pytest.raises(CompressError, match=words) as caught:
        made(
            tmp_path / "made",
            given,
            student,
            references=teacher,
            **({"teacher": "x"} if teacher else {}),
        )
    assert isinstance(caught.value, UsageError) and "\n" not in str(caught.value)


def test_heads_that_do_not_share_the_width_are_refused_before_the_first_step(
    tmp_path: Path,
) -> None:
    job = ConfigureModel(
        {**FRESH, "num_attention_heads": 3},
        Chosen(CLASSIFY.name, CLASSIFY.options.model_dump(mode="json")),
        LABELS,
        tmp_path,
    )
    line: Any = None
    with pytest.raises(UsageError, match=r"16\) is not a multiple of the number of attention"):
        configuring.run(job, line, load_plugins())
