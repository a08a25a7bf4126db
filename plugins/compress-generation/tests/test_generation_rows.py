"""Completions and conversations: what is learnt of them, and rows that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from byteprocessors import END, framed, plain, tiny_gpt2
from tiny import MemorySource, task_named
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.loss.loss_utils import ForCausalLMLoss

from compress.errors import UsageError
from compress.predict import predict
from compress.processor import TextProcessor
from compress.sessions import TorchSession
from compress.store.prepared import prepare
from compress.task import IGNORED, Features

CHAT = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Bye"},
    {"role": "assistant", "content": "Oh."},
]


def split_at_labels(one: Features, processor: TextProcessor) -> tuple[str, str]:
    """The text that is read, and the text that is learnt."""
    learnt = [label for label in one["labels"] if label != IGNORED]
    read = one["input_ids"][: len(one["input_ids"]) - len(learnt)]
    assert one["input_ids"] == [*read, *learnt]
    decode = processor.tokenizer.decode
    return decode(read, skip_special_tokens=False), decode(learnt, skip_special_tokens=False)


def test_the_completion_and_its_end_alone_are_learnt() -> None:
    processor = plain()
    task = task_named("text-generation", max_length=32)
    rows = [{"id": "train-0", "prompt": "2 + 2 =", "completion": " 4"}]
    (one,) = task.features(rows, processor)
    assert split_at_labels(one, processor) == ("2 + 2 =", " 4" + END)
    assert (one["prompt"], one["bytes"]) == (7, 2)


def test_a_template_s_start_token_stands_before_the_prompt_alone() -> None:
    processor = framed()
    task = task_named("text-generation", max_length=32)
    (one,) = task.features([{"id": "train-0", "prompt": "a", "completion": "b"}], processor)
    assert split_at_labels(one, processor) == ("<s>a", "b</s>")


def test_a_completion_is_cut_where_it_is_too_long_and_its_bytes_are_those_kept() -> None:
    processor = plain()
    task = task_named("text-generation", max_length=8)
    (one,) = task.features([{"id": "train-0", "prompt": "abc", "completion": "żółwie"}], processor)
    assert len(one["input_ids"]) == 8 and len([x for x in one["labels"] if x != IGNORED]) == 5
    assert one["bytes"] >= 5


def test_each_message_of_the_model_is_learnt_after_the_conversation_before_it() -> None:
    processor = plain()
    task = task_named("text-generation", max_length=128)
    features = task.features([{"id": "train-0", "messages": CHAT}], processor)
    assert [one["row"] for one in features] == [0, 0]
    begin = f"<|user|>Hi{END}\n<|assistant|>"
    assert [split_at_labels(one, processor) for one in features] == [
        (begin, f"Yes?{END}"),
        (f"{begin}Yes?{END}\n<|user|>Bye{END}\n<|assistant|>", f"Oh.{END}"),
    ]


def test_a_loss_is_a_mean_over_the_labels_that_have_a_token_before_them() -> None:
    """So processes that share a batch of uneven texts weigh their losses as one process would."""
    task = task_named("text-generation")
    ids = ([5, 6, 7], [8], [5, 9])
    features = [{"input_ids": one, "labels": one} for one in ids]
    batch = {k: torch.from_numpy(v) for k, v in task.collate(features, plain()).items()}
    logits = torch.randn(3, 3, 260)
    loss = ForCausalLMLoss(logits, batch["labels"], 260)
    assert task.counted(batch) == 3
    summed = sum(
        float(ForCausalLMLoss(logits[i : i + 1], batch["labels"][i : i + 1], 260)) * n
        for i, n in ((0, 2), (2, 1))
    )
    assert summed / 3 == pytest.approx(float(loss))
    alone = {name: array[1:2] for name, array in batch.items()}
    assert task.counted(alone) == 0


def test_a_conversation_has_the_tokens_of_transformers(tmp_path: Path) -> None:
    processor = plain()
    processor.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    task = task_named("text-generation", max_length=128)
    (first, second) = task.features([{"id": "train-0", "messages": CHAT}], processor)
    for one, before in ((first, CHAT[:1]), (second, CHAT[:3])):
        made = theirs.apply_chat_template(before, add_generation_prompt=True, return_dict=False)
        assert one["input_ids"][: one["prompt"]] == made
    rows = task.request([{"messages": CHAT[:3]}])
    (asked,) = task.features(rows, processor)
    assert asked == {"input_ids": second["input_ids"][: second["prompt"]]}


def prepared(tmp_path: Path, rows: list[dict[str, Any]], **others: Any) -> None:
    prepare(MemorySource({"train": rows, **others}), task_named("text-generation"), tmp_path)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "  "}, "row 1 of train: text is empty"),
        ({"text": 3}, "row 1 of train: text is 3, which is not text"),
        ({"prompt": "a", "completion": ""}, "row 1 of train: completion is empty"),
        ({"prompt": "a", "completion": None}, "row 1 of train: the data have the columns prompt:"),
        ({"messages": []}, r"row 1 of train: messages is \[\], and not a list of messages"),
        ({"messages": CHAT[:1]}, "row 1 of train: no message has the role assistant"),
        ({"messages": CHAT[1:]}, "row 1 of train: message 0 has the role assistant"),
        (
            {"messages": [CHAT[0], {"role": "assistant", "content": ""}]},
            "row 1 of train: content of message 1 is empty",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    tmp_path: Path, row: dict[str, Any], complaint: str
) -> None:
    good = {"text": "a"} if "text" in row else {"prompt": "a", "completion": "b"}
    good = {"messages": CHAT} if "messages" in row else good
    with pytest.raises(UsageError, match=complaint):
        prepared(tmp_path, [good, row])


def test_rows_have_one_form(tmp_path: Path) -> None:
    pairs = [{"prompt": "a", "completion": "b"}]
    with pytest.raises(UsageError, match="the train split has rows of text, and the test split"):
        prepared(tmp_path, [{"text": "a"}], test=pairs)
    with pytest.raises(UsageError, match="the data have text and prompt with completion: give one"):
        prepared(tmp_path, [{"text": "a", **pairs[0]}])
    with pytest.raises(UsageError, match="the data have the columns prompt: give text, or prompt"):
        prepared(tmp_path, [{"prompt": "a"}])


def test_a_prompt_that_leaves_no_room_is_named_by_its_row() -> None:
    processor = plain()
    task = task_named("text-generation", max_length=8)
    rows = [
        {"id": f"train-{i}", "prompt": "x" * size, "completion": "y"}
        for i, size in enumerate((7, 8, 3, 40))
    ]
    with pytest.raises(UsageError) as raised:
        task.features(rows, processor)
    assert [str(one) for one in raised.value.mistakes] == [
        f"row train-{place}: its prompt has {size} tokens, which leaves no room for the "
        f"completion: set max_length above {size}"
        for place, size in ((1, 8), (3, 40))
    ]


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ raise_exception('roles must alternate') }}", "refuses the messages: roles must alter"),
        ("{% if %}", "refuses the messages: "),
        ("{{ messages[9].role.x.y }}", "refuses the messages: "),
        (None, "the model's tokenizer has no chat template"),
    ],
)
def test_a_chat_template_that_raises_is_one_line_with_the_row(
    template: str | None, complaint: str
) -> None:
    processor = plain()
    processor.config["chat_template"] = template
    task = task_named("text-generation", max_length=64)
    with pytest.raises(UsageError, match=f"row train-4: .*{complaint}") as raised:
        task.features([{"id": "train-4", "messages": CHAT}], processor)
    assert "\n" not in str(raised.value)


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    processor = plain()
    task = task_named("text-generation")
    assert task.processor_mistake(processor) is None
    del processor.config["eos_token"]
    assert "its tokenizer has none: set eos_token" in str(task.processor_mistake(processor))


def test_requests_are_texts_or_conversations() -> None:
    task = task_named("text-generation")
    rows = task.request(["go on", {"messages": CHAT[:1]}])
    assert [row.keys() - {"request"} for row in rows] == [{"text"}, {"messages"}]
    with pytest.raises(UsageError, match="text 2: it is empty\ntext 3: messages is 'a', and not"):
        task.request(["a", " ", {"messages": "a"}])


@pytest.mark.parametrize(
    "row",
    [{"prompt": "abc", "completion": "xy"}, {"messages": CHAT}],
    ids=["completion", "conversation"],
)
def test_answers_are_generated_and_compared_where_it_is_asked(
    row: dict[str, Any], tmp_path: Path
) -> None:
    processor, rows = plain(), [{"id": "test-0", **row}]
    task = task_named("text-generation", max_length=60, answers=True, max_new_tokens=4)
    artifact = tiny_gpt2(tmp_path / "gpt2", task, processor)
    session = TorchSession(AutoModelForCausalLM.from_pretrained(artifact.folder).eval(), "cpu")
    (answer,) = predict(session, task, processor, rows, task.features(rows, processor), 2)
    assert answer["answer"].count("\n") >= len(row.get("messages", "ab")) // 2 - 1
    scores = task.score([answer], rows, [], processor).metrics
    assert scores["exact_match"] == 0 and 0 <= scores["rougeL"] <= 1
    wanted = "\n".join(one["content"] for one in CHAT[1::2]) if "messages" in row else " xy "
    same = task.score([{**answer, "answer": wanted}], rows, [], processor).metrics
    assert same["exact_match"] == same["rougeL"] == 1
    assert same["perplexity"] == scores["perplexity"]


def test_texts_have_no_answers_to_compare_with(tmp_path: Path) -> None:
    task = task_named("text-generation", answers=True)
    with pytest.raises(UsageError, match="answers is true, and rows of text have none"):
        prepare(MemorySource({"train": [{"text": "a"}]}), task, tmp_path)
    assert task.needed_packages() and not task_named("text-generation").needed_packages()


def test_an_answer_takes_the_place_of_a_completion() -> None:
    processor, task = plain(), task_named("text-generation", max_length=32)
    row = {"id": "train-0", "prompt": "2 + 2 =", "completion": " 4"}
    taught = [task.with_answer(row, {"answer": text, "tokens": []}) for text in (" 5", "")]
    learnt = [split_at_labels(one, processor) for one in task.features(taught, processor)]
    assert learnt == [("2 + 2 =", " 5" + END), ("2 + 2 =", END)]
    with pytest.raises(UsageError, match="give rows of prompt and completion"):
        task.with_answer({"text": ["a"]}, {"answer": " 5", "tokens": []})


def test_a_student_learns_each_token_that_has_a_label() -> None:
    import torch

    processor, task = plain(), task_named("text-generation", max_length=32)
    rows = [{"id": f"train-{i}", "prompt": "ab"[i:], "completion": "cd"} for i in range(2)]
    arrays = task.collate(task.features(rows, processor), processor)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    (part,) = task.distillable({"logits": torch.zeros(*batch["labels"].shape, 3)}, batch)
    assert part.mask is not None
    places, (rows_of, tokens) = part.mask.nonzero(as_tuple=True)[1], part.mask.nonzero().T
    assert places.tolist() == [1, 2, 3, 0, 1, 2]
    assert (batch["labels"][rows_of, tokens + 1] != IGNORED).all()
