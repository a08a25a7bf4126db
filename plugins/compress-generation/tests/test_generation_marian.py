"""Marian's tokenizer, which transformers has in Python alone: its files travel with the model, and
its ids and texts are transformers' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compress_generation.marian import MarianProcessor
from tiny import taken_in
from transformers import MarianTokenizer

from compress.errors import UsageError
from compress.fresh import fresh_reader
from compress.registry.plugins import load_plugins

TEXTS = [
    "a man plays the guitar",
    "  the   dog runs ",
    "ein Mann, spielt! 12 北京",
    ">>deu<< two women sit in the park",
    "a </s> man",
    "<unk>the<pad> dog",
]


@pytest.fixture(scope="module")
def folder(make_model: Callable[..., Path]) -> Path:
    return make_model("marian")


def test_ids_are_those_of_transformers(folder: Path) -> None:
    own, theirs = MarianProcessor.load(folder), MarianTokenizer.from_pretrained(folder)
    assert own.sources(TEXTS, 99) == [theirs(text)["input_ids"] for text in TEXTS]
    assert own.targets(TEXTS, 99) == [theirs(text_target=text)["input_ids"] for text in TEXTS]


def test_texts_of_ids_are_those_of_transformers(folder: Path) -> None:
    own, theirs = MarianProcessor.load(folder), MarianTokenizer.from_pretrained(folder)
    for ids in [*own.targets(TEXTS, 99), list(range(2, 30))]:
        assert own.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


def test_it_is_saved_as_it_was_read(folder: Path, tmp_path: Path) -> None:
    own = MarianProcessor.load(folder)
    own.save(tmp_path)
    again = MarianProcessor.load(tmp_path)
    assert again.identity() == own.identity()
    assert again.sources(TEXTS, 99) == own.sources(TEXTS, 99)
    assert {file.name for file in tmp_path.iterdir()} >= {"source.spm", "target.spm", "vocab.json"}


def test_a_folder_is_taken_in_with_its_files(folder: Path, tmp_path: Path) -> None:
    taken = taken_in(folder, tmp_path / "taken", load_plugins())
    assert {"source.spm", "target.spm", "vocab.json"} <= set(taken.manifest.files)
    assert "tokenizer.json" not in taken.manifest.files


def test_a_folder_with_a_broken_file_is_refused(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    broken = make_model("marian")
    (broken / "source.spm").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="sentencepiece models cannot be read"):
        MarianProcessor.load(broken)
    with pytest.raises(UsageError):
        taken_in(broken, tmp_path / "taken", load_plugins())


def test_a_fresh_model_reads_with_it(folder: Path) -> None:
    own, cls = MarianProcessor.load(folder), load_plugins().tasks["translation"].cls
    shape: dict[str, Any] = {
        "type": "bart",
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
    }
    model = fresh_reader(shape, cls(cls.Options()), (), own)
    config = model.config
    assert config.vocab_size == len(own.vocabulary())
    assert (config.eos_token_id, config.pad_token_id) == (own.end, own.pad_id)
    assert config.decoder_start_token_id == own.pad_id
    assert model.generation_config.forced_eos_token_id == own.end
