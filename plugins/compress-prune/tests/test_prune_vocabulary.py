"""Models that lose tokens: what they answer, what their files say, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress_prune.embeddings import vocabulary_axes, with_tokens
from compress_prune.numbering import named_ids, renumbered_config
from compress_prune.vocabulary import VocabularyOptions, VocabularyPruning
from pydantic import ValidationError
from tiny import LABELS, make_artifact, task_named
from trainedpieces import texts, trained
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.errors import NothingChanged, UsageError
from compress.jsonfiles import read_object
from compress.models import fresh_model, open_model, save_model

TASK = task_named("text-classification")
ROWS = {
    "train": [
        {"text": text, "label": LABELS["cat" in text]}
        for text in ["the cat sat", "a running mat", "the rain ran", "cats on a mat"] * 4
    ],
    "test": [{"text": "the cat", "label": "good"}, {"text": "a mat", "label": "bad"}],
}
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 40,
    "initializer_range": 0.4,
}
_ENDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 9, "vocab_size": 20}
_PAIR = {"decoder_start_token_id": 2, "d_model": 16}
_BART = {
    **_PAIR,
    **{f"{stack}_layers": 1 for stack in ("encoder", "decoder")},
    **{f"{stack}_attention_heads": 2 for stack in ("encoder", "decoder")},
    **{f"{stack}_ffn_dim": 16 for stack in ("encoder", "decoder")},
    "forced_eos_token_id": 9,
}
_T5 = {**_PAIR, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 16}
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "bert": (AutoModelForMaskedLM, SHAPE),
    "roberta": (AutoModelForMaskedLM, {**SHAPE, "pad_token_id": 1}),
    "distilbert": (AutoModelForMaskedLM, {"dim": 16, "n_layers": 1, "n_heads": 2}),
    "electra": (AutoModelForMaskedLM, {**SHAPE, "embedding_size": 8}),
    "deberta-v2": (AutoModelForMaskedLM, SHAPE),
    "albert": (AutoModelForMaskedLM, {**SHAPE, "embedding_size": 8}),
    "modernbert": (AutoModelForMaskedLM, {**SHAPE, "sep_token_id": 9, "cls_token_id": 2}),
    "mpnet": (AutoModelForMaskedLM, {**SHAPE, "pad_token_id": 1}),
    "gpt2": (AutoModelForCausalLM, {"n_embd": 16, "n_layer": 1, "n_head": 2}),
    "llama": (AutoModelForCausalLM, SHAPE),
    "qwen3": (AutoModelForCausalLM, {**SHAPE, "num_key_value_heads": 2, "head_dim": 8}),
    "t5": (AutoModelForSeq2SeqLM, _T5),
    "mt5": (AutoModelForSeq2SeqLM, {**_T5, "tie_word_embeddings": False}),
    "bart": (AutoModelForSeq2SeqLM, _BART),
    "mbart": (AutoModelForSeq2SeqLM, {**_BART, "tie_word_embeddings": False}),
}
KEPT = [0, 1, 2, 4, 7, 9, 11, 15, 19]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_fewer_rows_gives_the_same_outputs_for_the_tokens_that_stay(family, tmp_path):
    auto, shape = FAMILIES[family]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**_ENDS, **shape})
    model = auto.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():  # biases of heads begin at zero, and would be equal in any order
        for name in vocabulary_axes(model):
            model.state_dict()[name].normal_(std=0.5)
    new = {old: place for place, old in enumerate(KEPT)}
    generation = model.generation_config.to_dict() if model.can_generate() else None
    cut = with_tokens(
        model,
        KEPT,
        renumbered_config(model.config.to_dict(), new),
        generation and renumbered_config(generation, new),
        (),
    )
    assert cut.config.vocab_size == len(KEPT) and cut.config.eos_token_id == 5
    assert generation is None or cut.generation_config.eos_token_id == 5
    ids = torch.tensor([[2, 4, 7, 19, 9], [2, 15, 11, 7, 9]])
    places = torch.tensor([[new[int(each)] for each in row] for row in ids])
    with torch.no_grad():
        both = (
            {"decoder_input_ids": each} if "encoder" in shape or "d_model" in shape else {}
            for each in (ids, places)
        )
        before, after = (
            m(input_ids=i, **more).logits
            for m, i, more in zip((model, cut), (ids, places), both, strict=True)
        )
    assert torch.equal(after, before[..., KEPT])
    assert cut.num_parameters() < model.num_parameters()
    cut.save_pretrained(tmp_path)
    plain, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert plain.config.pad_token_id == shape.get("pad_token_id", 0)


def test_ids_in_configs_get_their_new_numbers():
    new = {0: 0, 5: 1, 9: 2, 12: 3}
    config = {
        "pad_token_id": 0,
        "eos_token_id": [5, 9],
        "forced_bos_token_id": 12,
        "sep_token_id": -1,
        "cls_token_id": None,
        "bad_words_ids": [[5], [9, 12]],
        "suppress_tokens": [12],
        "forced_decoder_ids": [[1, 12], [2, None]],
        "hidden_size": 12,
        "output_hidden_states": True,
    }
    assert renumbered_config(config, new) == {
        "pad_token_id": 0,
        "eos_token_id": [1, 2],
        "forced_bos_token_id": 3,
        "sep_token_id": -1,
        "cls_token_id": None,
        "bad_words_ids": [[1], [2, 3]],
        "suppress_tokens": [3],
        "forced_decoder_ids": [[1, 3], [2, None]],
        "hidden_size": 12,
        "output_hidden_states": True,
    }
    assert named_ids(config) == {0, 5, 9, 12, -1}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A BERT that classifies, with a tokenizer of word pieces and ten rows without a token."""
    folder = tmp_path_factory.mktemp("vocabulary") / "source"
    folder.mkdir()
    processor = trained("wordpiece")
    torch.manual_seed(2)
    size = len(processor.vocabulary()) + 10
    model = fresh_model({"type": "bert", "vocab_size": size, **SHAPE}, TASK, LABELS)
    save_model(model, folder)
    processor.config["model_input_names"] = ["input_ids", "attention_mask"]
    processor.save(folder)
    Manifest(Traits(task=TASK.name), digest_files(folder), "m", "import", labels=LABELS).write(
        folder
    )
    return Artifact.open(folder)


def trim(source: Artifact, folder: Path, **options: Any) -> Artifact:
    return make_artifact(folder, "prune.vocabulary", TASK, ROWS, input=source, **options)


def answers(artifact: Artifact, some: list[str]) -> torch.Tensor:
    model, processor = open_model(artifact, TASK), TASK.processor(artifact.folder)
    with torch.no_grad():
        outputs = [model(input_ids=torch.tensor([processor.ids(text)])).logits for text in some]
    return torch.cat(outputs)


def test_texts_of_the_corpus_are_answered_to_the_bit(source, tmp_path):
    cut = trim(source, tmp_path / "cut")
    seen = [row["text"] for row in ROWS["train"]]
    assert torch.equal(answers(source, seen), answers(cut, seen))
    notes = cut.manifest.notes
    before = read_object(source.folder / "config.json")["vocab_size"]
    assert notes["rows"] == read_object(cut.folder / "config.json")["vocab_size"]
    assert notes["always"] < notes["rows"] < notes["rows_before"] == before
    assert cut.manifest.parameters == source_parameters(source) - 16 * (before - notes["rows"])
    assert cut.traits.shape == "stock"


def source_parameters(source: Artifact) -> int:
    return sum(p.numel() for p in open_model(source, TASK).parameters())


def test_transformers_opens_the_model_and_its_tokenizer(source, tmp_path):
    cut = trim(source, tmp_path / "cut", minimum=3)
    tokenizer = AutoTokenizer.from_pretrained(cut.folder)
    own = TASK.processor(cut.folder)
    for text in [*texts(30, 4), "東京 zzz [SEP] straße"]:
        assert tokenizer(text)["input_ids"] == own.ids(text)
    assert tokenizer.pad_token_id == own.token_id("pad") == 0
    AutoModel.from_pretrained(cut.folder)
    model = AutoModelForSequenceClassification.from_pretrained(cut.folder).eval()
    some = texts(4, 5)
    with torch.no_grad():
        plain = [model(**tokenizer(text, return_tensors="pt")).logits for text in some]
    assert torch.equal(torch.cat(plain), answers(cut, some))


def test_keep_bounds_the_rows_and_texts_of_a_file_are_a_corpus(source, tmp_path):
    file = tmp_path / "corpus.tsv"
    file.write_text("text\tother\n" + "".join(f"{text}\tno\n" for text in texts(20, 6)))
    whole = trim(source, tmp_path / "whole", texts=str(file), column="text")
    counted = whole.manifest.notes
    assert counted["tokens_in_corpus"] > 10
    most = counted["always"] + 3
    few = trim(source, tmp_path / "few", texts=str(file), column="text", keep=most)
    assert few.manifest.notes["rows"] == most < counted["rows"]
    with pytest.raises(UsageError, match=rf"keep: 5 .*{counted['always']} or more"):
        trim(source, tmp_path / "none", keep=5)
    with pytest.raises(UsageError, match="row 1 of .* has no text in the column 'words'"):
        trim(source, tmp_path / "bad", texts=str(file), column="words")


def test_a_trimmed_model_trains_and_has_nothing_more_to_drop(source, tmp_path):
    cut = trim(source, tmp_path / "cut", recover={"epochs": 1, "precision": "fp32"})
    assert cut.manifest.notes["recover"]["steps"] == 1
    assert not torch.equal(answers(cut, ["the cat"]), answers(source, ["the cat"]))
    with pytest.raises(NothingChanged, match="the corpus needs all"):
        trim(cut, tmp_path / "again")


@pytest.mark.slow
def test_onnx_runtime_answers_as_the_trimmed_model_does(source, tmp_path):
    cut = trim(source, tmp_path / "cut")
    exported = make_artifact(tmp_path / "onnx", "export.onnx", TASK, ROWS, input=cut)
    assert exported.traits.format == "onnx"  # the stage compares its answers with the model's


def test_options_that_say_nothing_are_refused():
    for keep in (0, 1.5, 0.0):
        with pytest.raises(ValidationError, match="a share between 0 and 1"):
            VocabularyOptions(keep=keep)
    for options, option in (
        ({"column": "text"}, "column"),
        ({"column": "text", "texts": "a.txt"}, "column"),
        ({"texts": "a.csv"}, "texts"),
    ):
        (mistake,) = VocabularyPruning.check(VocabularyOptions(**options))
        assert mistake.option == option
    assert VocabularyPruning.check(VocabularyOptions(texts="a.jsonl", column="text")) == []


def test_less_is_dropped_after_a_missed_budget():
    def less(**options: Any) -> VocabularyOptions | None:
        return VocabularyPruning.back_off(VocabularyOptions(**options))

    assert less(keep=0.5) == VocabularyOptions(keep=0.75)
    assert less(minimum=5) == VocabularyOptions(minimum=2)
    assert less() is less(keep=100) is less(keep=0.99) is None


def test_a_family_without_rows_for_tokens_is_refused():
    config = AutoConfig.for_model("vit", hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(UsageError, match="of this vit model cannot be found"):
        vocabulary_axes(AutoModel.from_config(config))
