"""Plain texts as windows: nothing is lost, and the perplexity is that of the model's own loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from byteprocessors import framed, plain, tiny_gpt2
from tiny import MemorySource, task_named
from transformers import AutoModelForCausalLM

from compress.artifact import Artifact
from compress.predict import predict
from compress.processor import TextProcessor
from compress.sessions import TorchSession
from compress.store.prepared import Prepared, prepare
from compress.task import IGNORED, Features

TEXTS = ["def a():", "x" * 70, "żółw 🐢", " ", "\n\n", "return", "z"]


def words(count: int, seed: int) -> list[str]:
    """Texts of 1 to 40 letters."""
    draws = np.random.default_rng(seed)
    lengths = draws.integers(1, 41, count).tolist()
    return ["".join(draws.choice(list("abc \n"), size)) for size in lengths]


def learnt(features: list[Features]) -> list[int]:
    """The labels in their order."""
    return [token for one in features for token in one["labels"] if token != IGNORED]


@pytest.mark.parametrize(("length", "stride"), [(4, 1), (4, 3), (16, 1), (16, 8), (400, 1)])
@pytest.mark.parametrize("make", [plain, framed])
def test_each_token_of_all_texts_and_their_ends_is_predicted_once(
    length: int, stride: int, make: Callable[[], TextProcessor]
) -> None:
    processor = make()
    task = task_named("text-generation", max_length=length, stride=stride)
    texts = [*TEXTS, *words(60, 1)]
    passages = task.gathered({"text": texts})["text"]
    assert [text for passage in passages for text in passage] == texts
    features = task.features([{"text": passage} for passage in passages], processor)
    end = processor.token_id("eos")
    wanted: list[int] = []
    for text in texts:
        wanted += [*processor.tokenizer.encode(text, add_special_tokens=False).ids, end]
    assert learnt(features) == wanted
    for one in features:
        assert len(one["input_ids"]) == len(one["labels"]) <= length
        assert one["labels"][0] == IGNORED
        kept = [label in (IGNORED, token) for token, label in zip(*pair(one), strict=True)]
        assert all(kept)


def pair(one: Features) -> tuple[list[int], list[int]]:
    return one["input_ids"], one["labels"]


def test_windows_are_full_but_for_the_last_of_a_passage() -> None:
    processor = plain()
    task = task_named("text-generation", max_length=16)
    passages = task.gathered({"text": words(80, 2)})["text"]
    features = task.features([{"text": one} for one in passages], processor)
    rows = [one["row"] for one in features]
    for place, one in enumerate(features):
        is_last = place + 1 == len(features) or rows[place + 1] != rows[place]
        assert is_last or len(one["input_ids"]) == 16
    assert len(features) > 3 * len(passages)


def test_a_window_with_more_stride_has_more_context() -> None:
    processor = plain()
    (row,) = [{"text": ["abcdefgh"]}]
    task = task_named("text-generation", max_length=6, stride=4)
    second = task.features([row], processor)[1]
    text = processor.tokenizer.decode(second["input_ids"], skip_special_tokens=False)
    assert text == "bcdefg"
    assert [label != IGNORED for label in second["labels"]] == [False] * 4 + [True] * 2


def sessions(artifact: Artifact) -> TorchSession:
    return TorchSession(AutoModelForCausalLM.from_pretrained(artifact.folder).eval(), "cpu")


def test_perplexity_is_that_of_the_model_s_own_loss_and_batches_do_not_matter(
    tmp_path: Path,
) -> None:
    processor = plain()
    task = task_named("text-generation", max_length=16, stride=3)
    artifact = tiny_gpt2(tmp_path / "gpt2", task, processor)
    rows = [{"text": one} for one in task.gathered({"text": [*TEXTS, *words(30, 3)]})["text"]]
    features = task.features(rows, processor)
    model = AutoModelForCausalLM.from_pretrained(artifact.folder).eval()
    nll, tokens = 0.0, 0
    for one in features:
        labels = torch.tensor([one["labels"]])
        count = int((labels != IGNORED).sum())
        with torch.inference_mode():
            loss = model(torch.tensor([one["input_ids"]]), labels=labels).loss
        nll, tokens = nll + float(loss) * count, tokens + count
    found = []
    for size in (1, 7):
        answers = predict(sessions(artifact), task, processor, rows, features, size)
        found.append(task.score(answers, rows, [], processor).metrics)
    assert found[0]["perplexity"] == pytest.approx(math.exp(nll / tokens), rel=1e-5)
    assert found[1]["perplexity"] == pytest.approx(found[0]["perplexity"], rel=1e-5)
    size = sum(len(text.encode()) for row in rows for text in row["text"])
    assert found[0]["bits_per_byte"] == pytest.approx(nll / math.log(2) / size, rel=1e-5)
    counts = task.resample(answers, rows, [])
    assert task.headline_of(counts.sum(axis=0)) == pytest.approx(found[1]["perplexity"])


def test_the_loss_of_a_training_is_the_mean_over_what_is_counted(
    tmp_path: Path,
) -> None:
    processor = plain()
    task = task_named("text-generation", max_length=8, stride=2)
    features = task.features([{"text": words(6, 4)}], processor)
    batch = {
        name: torch.as_tensor(array) for name, array in task.collate(features, processor).items()
    }
    outputs = sessions(tiny_gpt2(tmp_path / "gpt2", task, processor)).model(**batch)
    (answers,) = task.distillable(outputs, batch)
    assert int(answers.mask.sum()) == task.counted(batch)
    chosen = answers.values[answers.mask].log_softmax(-1)
    wanted = batch["labels"][:, 1:][answers.mask[:, :-1]]
    mean = -chosen.gather(1, wanted[:, None]).mean()
    torch.testing.assert_close(task.loss(outputs, batch), mean)


def test_prepared_texts_are_passages_and_the_summary_counts_the_texts(tmp_path: Path) -> None:
    task = task_named("text-generation", max_length=8)
    texts = [*words(40, 5), "one more", "one more"]
    rows = [{"text": text + "."} for text in texts]
    prepare(MemorySource({"train": rows, "test": rows[:3]}), task, tmp_path)
    prepared = Prepared(tmp_path, "")
    made = [text for row in prepared.rows("train") for text in row["text"]]
    assert made == [row["text"] for row in rows]
    one = prepared.summary.splits["train"]
    assert one.rows == len(rows) > one.examples == len(prepared.rows("train"))
    assert one.repeated >= 1
