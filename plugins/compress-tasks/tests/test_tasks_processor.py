"""``TextProcessor`` gives the ids that transformers' tokenizers give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, RobertaTokenizerFast

from compress.errors import UsageError
from compress.processor import TextProcessor

TEXTS = [
    "the cat sat on the mat .",
    "unaffordable",
    "John Smith went to Paris, and was not good!",
    "xyzzy",
    "plays",
]
PAIRS = [
    ("the cat sat on the mat", "a dog"),
    ("good", "the film was very very very bad ."),
    ("un", "able"),
]


@pytest.mark.parametrize("max_length", [4, 6, 64])
def test_texts_have_the_ids_that_auto_tokenizer_gives(bert_folder: Path, max_length: int) -> None:
    theirs = AutoTokenizer.from_pretrained(bert_folder)(
        TEXTS, truncation=True, max_length=max_length
    )
    ours = TextProcessor.load(bert_folder).encode(TEXTS, max_length=max_length)
    assert [e.ids for e in ours] == theirs["input_ids"]
    assert max(len(e.ids) for e in ours) <= max_length


@pytest.mark.parametrize("max_length", [5, 7, 8, 64])
def test_pairs_are_cut_and_typed_as_auto_tokenizer_does(bert_folder: Path, max_length: int) -> None:
    theirs = AutoTokenizer.from_pretrained(bert_folder)(
        *zip(*PAIRS, strict=True), truncation=True, max_length=max_length
    )
    ours = TextProcessor.load(bert_folder).encode(PAIRS, max_length=max_length)
    assert [e.ids for e in ours] == theirs["input_ids"]
    assert [e.type_ids for e in ours] == theirs["token_type_ids"]


def test_words_have_the_ids_and_word_numbers_that_auto_tokenizer_gives(bert_folder: Path) -> None:
    words = [["John", "plays", "O'Brien"], ["unaffordable", "!"]]
    theirs = AutoTokenizer.from_pretrained(bert_folder)(
        words, is_split_into_words=True, truncation=True, max_length=7
    )
    ours = TextProcessor.load(bert_folder).encode(words, max_length=7, words=True)
    assert [e.ids for e in ours] == theirs["input_ids"]
    assert [e.word_ids for e in ours] == [theirs.word_ids(i) for i in range(2)]


def test_truncation_on_the_left_is_kept(bert_folder: Path) -> None:
    config = json.loads((bert_folder / "tokenizer_config.json").read_text())
    (bert_folder / "tokenizer_config.json").write_text(
        json.dumps({**config, "truncation_side": "left"})
    )
    theirs = AutoTokenizer.from_pretrained(bert_folder)(TEXTS, truncation=True, max_length=5)
    assert [e.ids for e in TextProcessor.load(bert_folder).encode(TEXTS, max_length=5)] == theirs[
        "input_ids"
    ]


def test_a_saved_processor_is_read_back_by_both(bert_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    TextProcessor.load(bert_folder).save(copy)
    again = [e.ids for e in TextProcessor.load(copy).encode(TEXTS, max_length=64)]
    assert again == AutoTokenizer.from_pretrained(copy)(TEXTS)["input_ids"]


def test_padding_and_truncation_stored_in_the_tokenizer_are_not_applied(
    processor: TextProcessor,
) -> None:
    processor.tokenizer.enable_padding(length=32)
    processor.tokenizer.enable_truncation(3)
    again = TextProcessor(Tokenizer.from_str(processor.tokenizer.to_str()), processor.config)
    assert len(again.encode(["the cat sat"], max_length=64)[0].ids) == 5


@pytest.mark.parametrize(
    ("model_type", "names", "expected"),
    [
        ("bert", None, True),
        ("electra", None, True),
        ("mobilebert", None, True),
        ("distilbert", None, False),
        ("roberta", None, False),
        ("gpt2", None, False),
        (None, None, False),
        ("bert", ["input_ids"], False),
        ("distilbert", ["input_ids", "token_type_ids"], True),
    ],
)
def test_token_types_follow_the_declared_names_else_the_family(
    processor: TextProcessor, model_type: str | None, names: list[str] | None, expected: bool
) -> None:
    config = processor.config if names is None else {**processor.config, "model_input_names": names}
    assert TextProcessor(processor.tokenizer, config, model_type).uses_token_types is expected


def test_special_tokens_are_found_as_text_or_as_a_dictionary(processor: TextProcessor) -> None:
    config = {"mask_token": {"content": "[MASK]", "lstrip": True}, "pad_token": "[PAD]"}
    other = TextProcessor(processor.tokenizer, config)
    assert (other.token_id("mask"), other.token_id("pad"), other.token_id("eos")) == (4, 0, None)
    assert TextProcessor(processor.tokenizer, {}).pad_id == 0


def test_a_folder_without_a_tokenizer_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no tokenizer.json"):
        TextProcessor.load(tmp_path)


def byte_level(folder: Path) -> None:
    """Save a byte-level BPE tokenizer without ``add_prefix_space``, as RoBERTa has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    model = json.loads(tokenizer.to_str())["model"]
    RobertaTokenizerFast(
        vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]]
    ).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta"}))


def test_words_of_a_byte_level_tokenizer_carry_the_space_before_them(tmp_path: Path) -> None:
    byte_level(tmp_path)
    words = [["the", "cat", "sat", "on", "the", "mat"], ["John", "Smith"]]
    theirs = AutoTokenizer.from_pretrained(tmp_path, add_prefix_space=True)(
        words, is_split_into_words=True
    )
    ours = TextProcessor.load(tmp_path).encode(words, max_length=64, words=True)
    assert [e.ids for e in ours] == theirs["input_ids"]
    running = AutoTokenizer.from_pretrained(tmp_path)([" " + " ".join(w) for w in words])
    assert [e.ids for e in ours] == running["input_ids"]
    assert [e.word_ids for e in ours] == [theirs.word_ids(i) for i in range(2)]


def test_pairs_of_a_byte_level_tokenizer_agree(tmp_path: Path) -> None:
    byte_level(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)(
        *zip(*PAIRS, strict=True), truncation=True, max_length=12
    )
    ours = TextProcessor.load(tmp_path).encode(PAIRS, max_length=12)
    assert [e.ids for e in ours] == theirs["input_ids"]
