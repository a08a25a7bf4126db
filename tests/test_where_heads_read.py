"""One text has one answer, alone and in a batch, wherever a family's head reads the text."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import LABELS, WORDS, asking, make_artifact, read, sentences, task_named, word_processor
from tokenizers import processors
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

import compress
from compress.artifact import MANIFEST, Artifact, Manifest, Traits, digest_files
from compress.errors import CompressError, UsageError
from compress.models import open_model
from compress.planning import make_plan
from compress.predict import length_batches, split_by
from compress.pretrained.families import Families
from compress.readout import END_TOKENS, LAST_TOKEN_FAMILIES, ReadAt, read_at
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.running.preflight import refuse_unfit_processors
from compress.sessions import TorchSession
from compress.teacher import Asked, teacher_outputs
from compress.training.batches import BucketedBatches

TASK = task_named("text-classification")
END = WORDS.index("[SEP]")
TEXTS = ["good w1", "w2 bad w3 w4 w5 w6 w7", "w8", "good [SEP] w9", "[SEP] [SEP] w3 bad w2"]
SMALL = {
    "xlnet": {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "gpt_neo": {
        "hidden_size": 16,
        "num_layers": 1,
        "num_heads": 2,
        "attention_types": [[["global"], 1]],
    },
    "openai-gpt": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32},
    "ctrl": {"n_embd": 16, "n_layer": 1, "n_head": 2, "dff": 16},
    "bart": {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
        "eos_token_id": END,
        "decoder_start_token_id": END,
    },
    "t5": {
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 16,
        "num_layers": 1,
        "num_heads": 2,
        "eos_token_id": END,
        "decoder_start_token_id": 0,
    },
}
PLAIN = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 16,
}


def classifier(folder: Path, family: str, **config: Any) -> Artifact:
    """A classifier of a family with random weights, and ``word_processor``."""
    torch.manual_seed(3)
    wide = {"initializer_range": 0.5, "init_std": 0.5}  # texts then have different answers
    named = dict(enumerate(LABELS))
    built = AutoConfig.for_model(
        family, vocab_size=len(WORDS), id2label=named, **{"pad_token_id": 0, **wide, **config}
    )
    AutoModelForSequenceClassification.from_config(built).save_pretrained(folder)
    words = word_processor()
    words.config["eos_token"] = "[SEP]"
    words.save(folder)
    Manifest(Traits(task=TASK.name), digest_files(folder), "m", "import", labels=LABELS).write(
        folder
    )
    return Artifact.open(folder)


def logits(artifact: Artifact, batch_size: int) -> np.ndarray:
    """Logits [texts, labels] of ``TEXTS``, in batches as ``predict`` makes them."""
    session = TorchSession(open_model(artifact, TASK), "cpu")
    processor = TASK.processor(artifact.folder)
    features = TASK.features(TASK.request(TEXTS), processor)
    answers = np.zeros((len(TEXTS), len(LABELS)))
    for places in length_batches(TASK, features, batch_size):
        batch = TASK.collate([features[i] for i in places], processor)
        answers[places] = session.run(batch)["logits"]
    return answers


def by_transformers(folder: Path) -> np.ndarray:
    """Logits [texts, labels], each text alone."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    names = inspect.signature(model.forward).parameters
    answers = []
    with torch.inference_mode():
        for text in TEXTS:
            given = tokenizer(text, return_tensors="pt")
            inputs = {name: value for name, value in given.items() if name in names}
            inputs.pop("token_type_ids", None)
            answers.append(model(**inputs).logits[0].numpy())
    return np.stack(answers)


@pytest.mark.parametrize("family", [*SMALL, "bert", "llama", "mistral", "qwen2"])
def test_a_text_is_answered_in_a_batch_as_alone_and_as_transformers_does(
    family: str, tmp_path: Path
) -> None:
    artifact = classifier(tmp_path, family, **SMALL.get(family, PLAIN))
    alone = logits(artifact, 1)
    np.testing.assert_allclose(logits(artifact, 8), alone, atol=1e-4)
    np.testing.assert_allclose(by_transformers(tmp_path), alone, atol=1e-4)
    assert np.ptp(alone, axis=0).min() > 1e-2, "texts that are answered alike show nothing"


def test_autotokenizer_pads_a_saved_model_on_the_side_that_its_head_needs(tmp_path: Path) -> None:
    artifact = classifier(tmp_path / "given", "xlnet", **SMALL["xlnet"])
    made = make_artifact(
        tmp_path / "made",
        "finetune",
        TASK,
        {"train": sentences(8, 0), "test": sentences(4, 1)},
        input=artifact,
        epochs=1,
        batch_size=4,
        precision="fp32",
    )
    assert AutoTokenizer.from_pretrained(made.folder).padding_side == "left"
    np.testing.assert_allclose(logits(made, 8), logits(made, 1), atol=1e-5)


def test_hidden_states_of_a_teacher_stand_at_the_tokens_of_a_student_that_pads_on_the_left(
    tmp_path: Path,
) -> None:
    from compress_distill import DistillOptions

    from compress.distilling.loss import DistillationLoss

    artifact = classifier(tmp_path / "given", "xlnet", **SMALL["xlnet"])
    rows = read(sentences(6, 2), TASK)
    processor = TASK.processor(artifact.folder)
    features = TASK.features(rows, processor)
    asked = Asked(answers=False, states=(-1,))
    context = asking(TASK, rows, tmp_path / "store")
    outputs = teacher_outputs(context, artifact, "train", asked, processor)
    loss = DistillationLoss(outputs, DistillOptions(losses=["hidden"]).losses, TASK)
    batch = {n: torch.from_numpy(a) for n, a in TASK.collate(features, processor).items()}
    assert not bool(batch["attention_mask"][:, 0].all()), "some row is padded on the left"
    with torch.no_grad():
        (term,) = loss(open_model(artifact, TASK), batch, torch.arange(len(rows)))
    assert float(term.value) < 1e-4  # the states are stored in float16


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_row_that_holds_the_end_token_ends_no_training(family: str, tmp_path: Path) -> None:
    rows = [*sentences(8, 0), {"text": "good [SEP] w1", "label": "good"}]
    given = classifier(tmp_path / "given", family, **SMALL[family])
    splits = {"train": rows, "validation": rows[-4:], "test": sentences(4, 1)}
    options = {"epochs": 1, "batch_size": 4, "precision": "fp32"}
    made = make_artifact(tmp_path / "made", "finetune", TASK, splits, input=given, **options)
    assert made.manifest.notes["steps"] == 3  # 8 rows with one end token, and one with two


def test_batches_hold_rows_of_one_group_alone_and_every_row_once() -> None:
    lengths, groups = [5, 3, 9, 4, 4, 7, 2, 8, 6, 1], [1, 1, 2, 1, 3, 1, 2, 1, 1, 2]
    batches = BucketedBatches(lengths, 2, 0, groups)
    made = list(batches)
    assert len(made) == len(batches) == 3 + 2 + 1
    assert all(len({groups[i] for i in places}) == 1 for places in made)
    assert sorted(sum(made, [])) == list(range(10))
    assert split_by(groups, "abcdefghij") == [list("abdfhi"), list("cgj"), ["e"]]


def test_texts_of_different_groups_are_never_mixed_silently(tmp_path: Path) -> None:
    processor = word_processor()
    processor.read_at = ReadAt(end_token=END)
    features = TASK.features(TASK.request(TEXTS), processor)
    assert [TASK.group(f) for f in features] == [1, 1, 1, 2, 3]
    with pytest.raises(CompressError, match="different numbers of end tokens"):
        TASK.collate(features, processor)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("bart", "no end", r"reads the end token \(id 3\), and its tokenizer adds none to a text"),
        ("t5", "no end", r"reads the end token \(id 3\), and its tokenizer adds none to a text"),
        ("bart", "same id", "texts are padded with the same id, 3"),
        ("llama", "no tokens", "names neither that nor an end-of-text token: set pad_token"),
    ],
)
def test_a_tokenizer_without_the_token_that_the_head_reads_is_refused_in_one_line(
    family: str, change: str, message: str, tmp_path: Path
) -> None:
    config = SMALL.get(family, PLAIN) | ({"pad_token_id": None} if change == "no tokens" else {})
    classifier(tmp_path, family, **config)
    words = word_processor()
    if change == "no end":
        words.tokenizer.post_processor = processors.ByteLevel()
    elif change == "same id":
        words.config["pad_token"] = "[SEP]"
    else:
        words.config = {"tokenizer_class": "TokenizersBackend", "unk_token": "[UNK]"}
    words.save(tmp_path)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(UsageError, match=message) as caught:
        compress.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_it_is_refused_before_the_first_step_of_a_run(
    write_recipe: Callable[..., Path],
    csv_data: Path,
    registry: Registry,
    families: Families,
) -> None:
    recipe = write_recipe(
        "task: {text-classification: {max_length: 16}}\nmodel: ./model\n"
        "data: {train: train.csv, test: test.csv}\nstages: [finetune]\n"
    )
    artifact = classifier(recipe.parent / "model", "t5", **SMALL["t5"])
    plan = make_plan(read_recipe(recipe), registry, families)
    refuse_unfit_processors(plan, {"model": artifact})
    words = word_processor()
    words.tokenizer.post_processor = processors.ByteLevel()
    words.save(artifact.folder)
    with pytest.raises(UsageError) as caught:
        refuse_unfit_processors(plan, {"model": artifact})
    (line,) = str(caught.value).splitlines()
    assert line.startswith(str(recipe)) and "its tokenizer adds none to a text" in line


@pytest.mark.slow
def test_the_families_are_those_of_transformers() -> None:
    import transformers
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as NAMES,
    )

    last, ends = set(), set()
    for family, name in NAMES.items():
        forward = inspect.unwrap(getattr(transformers, name).forward)
        if "pad_token_id" in forward.__code__.co_names:
            last.add(family)
        if "same number of <eos>" in inspect.getsource(forward):
            ends.add(family)
            default = AutoConfig.for_model(family).eos_token_id
            assert read_at({"model_type": family}).end_token == default
    assert (last, ends) == (set(LAST_TOKEN_FAMILIES), set(END_TOKENS))
