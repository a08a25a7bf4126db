"""T5's span corruption: what is hidden, what is written, and a model that learns it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compress_generation import spans
from tiny import make_artifact, task_named
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from compress.predict import predict
from compress.sessions import TorchSession
from compress.task import IGNORED

SENTINELS, END = list(range(900, 1000)), 1


def restored(source: list[int], target: list[int]) -> list[int]:
    """The text again, of an input and its target."""
    hidden: dict[int, list[int]] = {}
    last: list[int] = []
    for token in target[:-1]:
        if token >= SENTINELS[0]:
            last = hidden.setdefault(token, [])
        else:
            last.append(token)
    text = []
    for token in source[:-1]:
        text += hidden.pop(token) if token >= SENTINELS[0] else [token]
    assert list(hidden.values()) == [[]]  # the sentinel at the end of the target
    return text


@pytest.mark.parametrize("length", [1, 2, 3, 7, 30, 255])
def test_the_input_and_the_target_are_the_whole_text(length: int) -> None:
    draws = np.random.default_rng(length)
    ids = draws.integers(10, 800, length).tolist()
    for _ in range(20):
        mask = spans.hidden(length, 0.15, 3.0, 99, draws)
        source, target = spans.corrupted(ids, mask, SENTINELS, END)
        assert source[-1] == target[-1] == END and restored(source, target) == ids
        assert mask.sum() == (0 if length == 1 else max(1, round(0.15 * length)))


def test_the_share_and_the_length_of_spans_are_those_asked() -> None:
    draws = np.random.default_rng(0)
    masks = np.array([spans.hidden(200, 0.15, 3.0, 99, draws) for _ in range(500)])
    starts = masks & ~np.pad(masks[:, :-1], ((0, 0), (1, 0)))
    assert (masks.sum(axis=1) == 30).all() and (starts.sum(axis=1) == 10).all()
    everywhere = masks[:, 20:180].mean(axis=0)
    assert everywhere.min() > 0.08 and everywhere.max() < 0.24
    assert spans.hidden(200, 0.5, 1.0, 4, draws).sum() == 100
    few = spans.hidden(200, 0.5, 1.0, 4, draws)
    assert (few[1:] & ~few[:-1]).sum() == 4


def test_a_fresh_t5_learns_to_write_what_is_hidden(tmp_path: Path) -> None:
    task = task_named("span-corruption", max_length=32)
    texts = [f"def f{i}(a, b):\n    return a + b" for i in range(40)]
    rows = {name: [{"text": text} for text in texts] for name in ("train", "test")}
    fresh = {"type": "t5", "num_layers": 1, "num_heads": 2, "d_model": 32, "d_kv": 16, "d_ff": 32}
    made = make_artifact(
        tmp_path / "step",
        "pretrain",
        task,
        rows,
        fresh={**fresh, "decoder_start_token_id": 0},
        vocabulary=420,
        epochs=4,
        batch_size=4,
        learning_rate=1e-2,
        precision="fp32",
    )
    model = AutoModelForSeq2SeqLM.from_pretrained(made.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0
    assert model.config.eos_token_id == tokenizer.eos_token_id == 1
    assert tokenizer("a <extra_id_0>")["input_ids"][-2:] == [3, 1]
    processor = task.processor(made.folder)
    passages = [{"text": texts[:20]}, {"text": texts[20:]}]
    features = task.features(passages, processor)
    found = []
    for size in (1, 5):
        answers = predict(TorchSession(model, "cpu"), task, processor, passages, features, size)
        found.append(task.score(answers, passages, [], processor).metrics["perplexity"])
    assert found[0] == pytest.approx(found[1], rel=1e-4) and found[0] < 60


def test_training_draws_anew_and_a_measurement_hides_the_same(tmp_path: Path) -> None:
    from byteprocessors import byte_tokenizer

    from compress.processor import TextProcessor

    tokens = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in range(100))]
    config = {"pad_token": "<pad>", "eos_token": "</s>"}
    processor = TextProcessor(byte_tokenizer(*tokens), config)
    task = task_named("span-corruption", max_length=64)
    (one,) = task.features([{"text": ["a text with some more words in it"]}], processor)
    twice = [task.collate([one], processor)["labels"].tolist() for _ in range(2)]
    assert twice[0] == twice[1]
    drawn = {
        str(task.collate([one], processor, np.random.default_rng(seed))["labels"].tolist())
        for seed in range(5)
    }
    assert len(drawn) > 1
    batch = task.collate([one, one], processor, np.random.default_rng(1))
    for labels, before in zip(batch["labels"], batch["decoder_input_ids"], strict=True):
        count = int((labels != IGNORED).sum())
        assert before[0] == processor.pad_id
        assert before[1:count].tolist() == labels[: count - 1].tolist()
    assert task.processor_mistake(processor) is None
    bare = TextProcessor(byte_tokenizer("</s>"), config)
    assert "not the sentinels <extra_id_0>" in str(task.processor_mistake(bare))
