"""What a model from outside becomes when it is taken in: transformers' own tokens, labels and
weights, or one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import save_bert, taken_in, task_named, tiny_bert
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

import compress
from compress.artifact import MANIFEST
from compress.errors import UsageError
from compress.pretrained.configs import read_config
from compress.processor import TextProcessor
from compress.registry.plugins import Registry

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "good", "cafe", "東", "京", "##s"]
TEXTS = ["good Film in PARIS", "Café cafe films", "東京", "  good  ", "a [MASK] good[SEP]"]


@pytest.fixture
def outside(tmp_path: Path) -> Callable[..., Path]:
    """``outside(config={...}, tokens={...})`` makes a classifier without a manifest, with these
    changes of its ``config.json`` and this ``tokenizer_config.json``."""

    def make(
        config: dict[str, Any] | None = None, tokens: dict[str, Any] | None = None, **shape: Any
    ) -> Path:
        folder = tmp_path / "model"
        save_bert(folder, task_named("text-classification"), **shape)
        (folder / MANIFEST).unlink()
        file = folder / "config.json"
        values = {**json.loads(file.read_text(encoding="utf-8")), **(config or {})}
        for key in [key for key, value in values.items() if value is GONE]:
            del values[key]
        file.write_text(json.dumps(values), encoding="utf-8")
        if tokens is not None:
            word_pieces().save(str(folder / "tokenizer.json"))
            (folder / "tokenizer_config.json").write_text(json.dumps(tokens), encoding="utf-8")
        return folder

    return make


GONE: Any = object()
"""Stands for an entry of the config that is to be left out."""


def word_pieces() -> Tokenizer:
    """A tokenizer as an uncased BERT's."""
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(PIECES[:5])
    return tokenizer


# tokens


@pytest.mark.parametrize(
    "more",
    [
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": True, "tokenize_chinese_chars": False},
        {"tokenizer_class": "TokenizersBackend"},
        {},
    ],
)
def test_the_ids_of_a_model_that_is_taken_in_are_those_of_transformers(
    more: dict[str, Any], outside: Callable[..., Path], tmp_path: Path, registry: Registry
) -> None:
    folder = outside(tokens={"tokenizer_class": "BertTokenizer", **more})
    wanted = AutoTokenizer.from_pretrained(folder)
    taken = TextProcessor.load(taken_in(folder, tmp_path / "taken", registry).folder)
    for text in TEXTS:
        (got,) = taken.encode([text], max_length=64)
        assert got.ids == wanted(text)["input_ids"], text
        again = AutoTokenizer.from_pretrained(tmp_path / "taken")
        assert again(text)["input_ids"] == got.ids


def test_a_tokenizer_that_is_saved_takes_fewer_bytes_and_gives_the_same_ids(
    outside: Callable[..., Path], tmp_path: Path
) -> None:
    folder = outside()
    given = TextProcessor.load(folder)
    given.save(tmp_path)
    saved = TextProcessor.load(tmp_path)
    assert saved.identity() == given.identity()
    assert [saved.ids(text) for text in TEXTS] == [given.ids(text) for text in TEXTS]
    given.tokenizer.save(str(tmp_path / "indented.json"))
    indented, own = (tmp_path / name for name in ("indented.json", "tokenizer.json"))
    assert own.stat().st_size < 0.8 * indented.stat().st_size


def test_a_space_in_front_is_added_where_the_config_asks_for_it(
    outside: Callable[..., Path], tmp_path: Path, registry: Registry
) -> None:
    folder = outside()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", *alphabet, "Ġg"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", "g")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true, "unk_token": "<s>", '
        '"bos_token": "<s>", "eos_token": "<s>"}',
        encoding="utf-8",
    )
    wanted = AutoTokenizer.from_pretrained(folder)("good")["input_ids"]
    assert wanted[0] == vocabulary["Ġg"] and tokenizer.encode("good").ids != wanted
    with pytest.raises(UsageError, match=r"ids up to 257 .* the model has 21 embeddings"):
        taken_in(folder, tmp_path / "taken", registry)
    assert TextProcessor.load(tmp_path / "taken").encode(["good"], max_length=9)[0].ids == wanted


def test_a_tokenizer_that_is_right_stays_byte_for_byte(
    outside: Callable[..., Path], tmp_path: Path, registry: Registry
) -> None:
    folder = outside()
    artifact = taken_in(folder, tmp_path / "taken", registry)
    own, taken = (place / "tokenizer.json" for place in (folder, artifact.folder))
    assert own.read_bytes() == taken.read_bytes()


def test_a_tokenizer_that_no_file_can_hold_is_refused_with_a_text_and_two_ids(
    outside: Callable[..., Path],
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Odd:
        """A tokenizer whose own code changes the ids that its file gives."""

        all_special_tokens: tuple[str, ...] = ()

        def __init__(self, folder: Path) -> None:
            self.read = AutoTokenizer_from(folder)

        def __call__(self, text: str, pair: str | None) -> dict[str, list[int]]:
            return {"input_ids": [*self.read(text, pair)["input_ids"][:-1], 7]}

        def save_pretrained(self, folder: Path) -> None:
            self.read.save_pretrained(folder)

    AutoTokenizer_from = AutoTokenizer.from_pretrained
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda f, **_: Odd(f))
    with pytest.raises(
        UsageError,
        match=r"model: no tokenizer.json gives the ids of transformers' Odd: id 3 and "
        r"id 7 at token \d+ of 'the plot was not very good'$",
    ):
        taken_in(outside(), tmp_path / "taken", registry)


def test_ids_beyond_the_embeddings_are_refused_with_both_numbers(
    outside: Callable[..., Path], tmp_path: Path, registry: Registry
) -> None:
    folder = outside()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("zzword")])
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(
        UsageError, match=r"ids up to 21 \('zzword'\), and the model has 21 embeddings"
    ):
        taken_in(folder, tmp_path / "taken", registry)
    with pytest.raises(UsageError, match=r"model: its tokenizer has ids up to 21"):
        compress.load(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_tokenizer_file_that_cannot_be_read_is_named(
    name: str, outside: Callable[..., Path]
) -> None:
    folder = outside()
    (folder / name).write_text("{ not json", encoding="utf-8")
    with pytest.raises(UsageError, match=rf"^{folder / name} cannot be read: [^\n]+$"):
        compress.load(folder)


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAA="}},
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
                "pair": [],
                "special_tokens": {},
            }
        },
    ],
)
def test_a_tokenizer_at_which_the_rust_code_panics_is_refused(
    part: dict[str, Any], outside: Callable[..., Path]
) -> None:
    """A panic is no Exception in Python."""
    file = outside() / "tokenizer.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**values, **part}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"^[^\n]+$"):
        compress.load(file.parent)


# labels


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"id2label": {"neg": 0, "pos": 1}}, "id2label has no name for output 0"),
        ({"id2label": ["neg", "pos"]}, "id2label is .*, and not an object such as"),
        ({"id2label": "neg"}, "id2label is 'neg', and not an object"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label has no name for output 1"),
        ({"id2label": {"00": "a", "1": "b"}}, "id2label has no name for output 0"),
        ({"id2label": {"0": "a", "1": "a"}}, "id2label has the name 'a' twice"),
        ({"id2label": {"0": "a", "1": None}}, "id2label has the name None, and not a text"),
        ({"id2label": {}}, "id2label names no output"),
        ({"num_labels": 3}, "num_labels is 3, and id2label has 2 names"),
        ({"num_labels": 10**9}, "num_labels is 1000000000, and not a number of labels"),
        ({"id2label": GONE, "label2id": {"a": 1, "b": 2}}, "label2id has the numbers"),
        ({"id2label": GONE, "label2id": ["a"]}, "label2id is .*, and not an object"),
    ],
)
def test_labels_in_a_wrong_form_are_one_line_that_names_the_entry(
    config: dict[str, Any], words: str, outside: Callable[..., Path]
) -> None:
    folder = outside(config)
    with pytest.raises(UsageError, match=rf"^{folder / 'config.json'}: {words}[^\n]*$"):
        compress.load(folder)


def test_names_that_stand_in_label2id_alone_are_taken(
    outside: Callable[..., Path], tmp_path: Path, registry: Registry
) -> None:
    folder = outside({"id2label": GONE, "label2id": {"c": 2, "a": 0, "b": 1}})
    task = task_named("text-classification")
    tiny_bert(task, ("x", "y", "z")).save_pretrained(tmp_path / "three")
    (tmp_path / "three" / "model.safetensors").rename(folder / "model.safetensors")
    artifact = taken_in(folder, tmp_path / "taken", registry)
    assert artifact.manifest.labels == ("a", "b", "c")
    assert read_config(artifact.folder)["id2label"] == {"0": "a", "1": "b", "2": "c"}
    answers = compress.load(folder)(["good w1"])
    assert answers == compress.load(artifact.folder)(["good w1"])


# sizes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"hidden_size": "x"}, "hidden_size is 'x', and not a number"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1e\\+09, and no model is that large"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, and the weights have"),
        ({"hidden_size": 10**12}, "hidden_size is 1e\\+12, and no model is that large"),
        ({"num_attention_heads": -1}, "num_attention_heads is -1, and no model has less"),
        ({"num_attention_heads": 3}, "cannot build the model of .*config.json: "),
        ({"model_type": "no-such-family"}, "no-such-family"),
        ({"model_type": 5}, "model_type is 5, and not a text"),
        ({"architectures": "BertModel"}, "architectures is 'BertModel', and not a list"),
        ({"quantization_config": [1]}, "quantization_config is \\[1\\], and not an object"),
    ],
)
def test_a_config_of_which_no_model_can_be_built_is_one_line(
    config: dict[str, Any], words: str, outside: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        compress.load(outside(config))
    assert "\n" not in str(caught.value)
