"""LoRA in ``finetune``: what is trained, that it is the model's own when merged, and that it goes
on after an interruption to equal bits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from compress_training import Finetune, FinetuneOptions, LoraOptions
from compress_training.lora import Adapters
from safetensors.torch import load_file
from tiny import LABELS, make_artifact, save_bert, sentences, task_named, tiny_bert, word_processor
from torch import Tensor
from trainings import OPTIONS, Given, Interrupted, equal
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from compress.adapting import Adapted
from compress.errors import PackageMissing, UsageError
from compress.training import TrainingOptions, fit, reporter

IDS = torch.tensor([[5, 6, 7, 8, 9, 3], [11, 12, 13, 14, 15, 3]])
_PLAIN = {"vocab_size": 30, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
MODELS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "gpt2": ("gpt2", AutoModelForCausalLM, {"n_embd": 16, "n_layer": 2, "n_head": 2}),
    "gpt2 classifier": (
        "gpt2",
        AutoModelForSequenceClassification,
        {"n_embd": 16, "n_layer": 2, "n_head": 2},
    ),
    "t5": (
        "t5",
        AutoModelForSeq2SeqLM,
        {
            "d_model": 16,
            "num_layers": 1,
            "num_heads": 2,
            "d_kv": 8,
            "d_ff": 32,
            "decoder_start_token_id": 2,
        },
    ),
    "llama": (
        "llama",
        AutoModelForCausalLM,
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
        },
    ),
}


def build(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    kind, head, values = MODELS[name]
    model: PreTrainedModel = head.from_config(AutoConfig.for_model(kind, **_PLAIN, **values))
    return model.eval()


@torch.no_grad()
def logits(model: PreTrainedModel) -> Tensor:
    given = {"input_ids": IDS}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = IDS[:, :4]
    answer: Tensor = model(**given).logits
    return answer


def trained(model: PreTrainedModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", MODELS)
def test_a_merged_model_answers_as_the_model_with_adapters_and_is_plain(name: str) -> None:
    model = build(name)
    before, names = logits(model), list(model.state_dict())
    adapters = Adapters(Adapted(model), LoraOptions(rank=2))
    assert torch.equal(logits(model), before), "the second matrix is zero"
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    adapted = logits(model)
    adapters.merge()
    assert float((adapted - before).abs().max()) > 0.1
    torch.testing.assert_close(logits(model), adapted, atol=1e-5, rtol=1e-5)
    assert list(model.state_dict()) == names
    assert not any(hasattr(each, "base_layer") for each in model.modules())
    assert not hasattr(model, "peft_config")


def test_matrices_and_a_head_that_answers_are_trained_and_no_head_that_chooses_tokens() -> None:
    for name, head in (("gpt2", set()), ("gpt2 classifier", {"score.weight"}), ("llama", set())):
        model = build(name)
        adapters = Adapters(Adapted(model), LoraOptions(rank=2))
        names = trained(model)
        assert {each for each in names if "lora_" not in each} == head
        count = sum(model.get_parameter(each).numel() for each in names)
        assert adapters.notes["lora"]["trained_parameters"] == count


def test_weights_that_are_new_are_trained_themselves() -> None:
    model = build("llama")
    drawn = ("model.norm.weight", "lm_head.weight")
    Adapters(Adapted(model, drawn), LoraOptions())
    assert {each for each in trained(model) if "lora_" not in each} == set(drawn)


def test_targets_are_the_ends_of_names() -> None:
    adapters = Adapters(Adapted(build("llama")), LoraOptions(targets=["q_proj", "1.mlp.up_proj"]))
    assert adapters.notes["lora"]["layers"] == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.up_proj",
    ]


@pytest.mark.parametrize("name", ["proj", "lm_head", "wte"])
def test_targets_that_a_model_does_not_have_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError) as met:
        Adapters(Adapted(build("gpt2")), LoraOptions(targets=["c_attn", name]))
    assert str(met.value) == (
        f"lora.targets: '{name}' names no linear layer of this gpt2 model; the names of its linear "
        "layers end in: c_attn, c_fc, c_proj"
    )


def test_a_fresh_model_gets_no_lora() -> None:
    (mistake,) = Finetune.check(FinetuneOptions(processor_of="model", lora=LoraOptions()))
    assert mistake.option == "lora" and "those of a fresh one are random" in mistake.message
    assert Finetune.check(FinetuneOptions(lora=LoraOptions())) == []


def test_the_version_of_peft_is_part_of_the_key_of_a_step_with_lora_alone() -> None:
    plain = FinetuneOptions(precision="fp32")
    assert plain.left_to_machine() == {}
    assert list(FinetuneOptions(lora=LoraOptions()).left_to_machine()) == ["lora", "precision"]


def test_without_peft_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.delitem(sys.modules, "compress_training.lora")
    task = task_named("text-classification")
    rows = {"train": sentences(4, 0), "test": sentences(4, 1)}
    source = save_bert(tmp_path / "model", task)
    with pytest.raises(PackageMissing, match=r"peft.*: install compress-toolkit\[lora\]"):
        make_artifact(tmp_path / "made", "finetune", task, rows, input=source, lora={})


def adapted_training(given: Given, **options: Any) -> dict[str, Tensor]:
    """The weights of a tiny BERT, merged, after it was trained with LoRA."""
    model = tiny_bert(given.task).train()
    adapters = Adapters(Adapted(model), LoraOptions(rank=2))
    chosen = TrainingOptions(**{**OPTIONS, **options})
    fit(model, given, chosen, processor=word_processor())
    adapters.merge()
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("validates", [True, False])
def test_an_interrupted_training_ends_in_the_weights_of_an_unbroken_one(
    validates: bool, tmp_path: Path
) -> None:
    unbroken = adapted_training(Given(tmp_path / "unbroken", validates=validates))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        adapted_training(Given(tmp_path / "work", validates=validates, stop_at=5))
    again = Given(tmp_path / "work", validates=validates)
    assert equal(unbroken, adapted_training(again))
    assert again.notes == ["continuing from step 4"]
    after = Given(tmp_path / "work", validates=validates)
    assert equal(unbroken, adapted_training(after)) and after.steps == []


def test_activations_that_are_computed_again_lead_to_the_same_weights(tmp_path: Path) -> None:
    one, other = (
        adapted_training(
            Given(tmp_path / str(again), validates=False), epochs=1, gradient_checkpointing=again
        )
        for again in (False, True)
    )
    assert equal(one, other)


def test_a_step_writes_a_plain_model_and_says_what_it_trained(tmp_path: Path) -> None:
    source = save_bert(tmp_path / "model", task_named("fill-mask"), ())
    rows = {"train": sentences(16, 0), "test": sentences(6, 1)}
    task, said = task_named("text-classification"), list[str]()
    options = {"epochs": 1, "batch_size": 4, "precision": "fp32", "learning_rate": 1e-2}
    made = make_artifact(
        tmp_path / "made",
        "finetune",
        task,
        rows,
        input=source,
        said=said,
        lora={"rank": 2, "alpha": 4, "targets": ["query", "value"]},
        **options,
    )
    assert sorted(made.manifest.files) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    # Two layers of 16 x 16, the pooler and the head of two labels.
    count = 2 * 2 * (16 + 16) + (16 * 16 + 16) + (16 * 2 + 2)
    assert made.manifest.notes["lora"]["trained_parameters"] == count
    assert any(line.startswith(f"LoRA in 2 layers: {count} parameters") for line in said)
    model, info = AutoModelForSequenceClassification.from_pretrained(
        made.folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.num_labels == len(LABELS)
    before, after = (load_file(each.folder / "model.safetensors") for each in (source, made))
    same = [name for name in after if name in before and torch.equal(before[name], after[name])]
    moved = {name for name in after if name in before} - set(same)
    assert moved == {
        f"bert.encoder.layer.0.attention.self.{part}.weight" for part in ("query", "value")
    }
