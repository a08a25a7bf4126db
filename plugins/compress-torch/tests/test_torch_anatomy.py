"""What the torch engine counts of a model, against counts by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from compress_torch import TorchEngine
from compress_torch.anatomy import macs, parameters_by_part, positions, recurrent_macs
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    BartConfig,
    BartForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from compress import sessions
from compress.sessions import TorchSession

D, F, LAYERS, LABELS, VOCABULARY, POSITIONS = 16, 24, 2, 3, 30, 20
BERT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": D,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": F,
    "max_position_embeddings": POSITIONS,
    "num_labels": LABELS,
}


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**BERT)).eval()


def by_hand(length: int) -> int:
    """Projections, scores and weighted sums, feed-forward; then the pooler and the head, of the
    first token alone."""
    layer = 4 * length * D * D + 2 * length * length * D + 2 * length * D * F
    return LAYERS * layer + D * D + D * LABELS


@pytest.mark.parametrize("length", [1, 7, POSITIONS])
def test_multiply_accumulates_of_a_bert_are_those_counted_by_hand(length: int) -> None:
    assert macs(TorchSession(bert(), "cpu"), length) == by_hand(length)


def test_unfused_and_eager_attention_have_the_same_count() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=24,
        )
    ).eval()
    fused = macs(TorchSession(model, "cpu"), 9)
    model.set_attn_implementation("eager")
    projections, scores = 9 * 16 * (16 + 8 + 8 + 16), 2 * 9 * 9 * 16
    assert (
        fused
        == macs(TorchSession(model, "cpu"), 9)
        == projections + scores + 3 * 9 * 16 * 24 + 9 * 16 * 30
    )


def test_an_example_is_no_longer_than_the_model_has_positions() -> None:
    counts = TorchEngine().counts(TorchSession(bert(), "cpu"), SimpleNamespace(), 128)
    assert (counts.length, counts.macs) == (POSITIONS, by_hand(POSITIONS))
    assert counts.parameters == parameters_by_part(bert())
    roberta = RobertaForSequenceClassification(RobertaConfig(**BERT, pad_token_id=1)).eval()
    assert positions(roberta) == POSITIONS - 2
    assert (
        TorchEngine().counts(TorchSession(roberta, "cpu"), SimpleNamespace(), 128).length
        == POSITIONS - 2
    )


@pytest.mark.parametrize(
    "family",
    [
        "bert",
        "camembert",
        "data2vec-text",
        "distilbert",
        "electra",
        "esm",
        "gpt2",
        "ibert",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
        "yoso",
    ],
)
def test_a_model_has_positions_for_as_many_tokens_as_its_config_tells_and_no_more(
    family: str,
) -> None:
    config = AutoConfig.for_model(
        family,
        **BERT,
        pad_token_id=1,
        attention_window=8,
        default_language="en_XX",
        entity_vocab_size=9,
    )
    model = AutoModel.from_config(config).eval()
    longest = positions(model)
    assert longest is not None and POSITIONS - 2 <= longest <= POSITIONS
    ids = torch.full((1, longest + 1), 5)
    model(input_ids=ids[:, :longest])
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=ids)


def test_an_encoder_decoder_that_reads_its_answer_at_an_end_token_is_counted() -> None:
    config = BartConfig(
        vocab_size=30,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=20,
    )
    found = macs(TorchSession(BartForSequenceClassification(config).eval(), "cpu"), 8)
    attention, feed_forward = 4 * 8 * 16 * 16 + 2 * 8 * 8 * 16, 2 * 8 * 16 * 24
    assert found == 3 * attention + 2 * feed_forward + 16 * 16 + 16 * 3


def test_counting_leaves_the_model_as_it_was() -> None:
    model = bert()
    batch = {"input_ids": np.array([[2, 7, 9]]), "attention_mask": np.ones((1, 3), np.int64)}
    session = TorchSession(model, "cpu")
    before, implementation = session.run(batch)["logits"], model.config._attn_implementation
    TorchEngine().counts(session, SimpleNamespace(), 8)
    np.testing.assert_array_equal(session.run(batch)["logits"], before)
    assert model.config._attn_implementation == implementation == "sdpa"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_parameters_by_part_are_those_counted_by_hand_and_add_up() -> None:
    model = bert()
    norm, layer = 2 * D, 4 * (D * D + D) + 2 * D * F + F + D + 4 * D
    assert parameters_by_part(model) == {
        "embeddings": (VOCABULARY + POSITIONS + 2) * D + norm,
        "layers": LAYERS * layer + D * D + D,
        "head": D * LABELS + LABELS,
    }
    assert sum(parameters_by_part(model).values()) == model.num_parameters()


@pytest.mark.parametrize(
    "model",
    [
        BertForMaskedLM(BertConfig(**BERT)),
        LlamaForCausalLM(
            LlamaConfig(
                vocab_size=30,
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=24,
                tie_word_embeddings=True,
            )
        ),
        DistilBertForTokenClassification(
            DistilBertConfig(vocab_size=30, dim=16, n_layers=1, n_heads=2, hidden_dim=24)
        ),
    ],
)
def test_shared_parameters_count_once_and_as_embeddings(model: PreTrainedModel) -> None:
    parts = parameters_by_part(model)
    assert sum(parts.values()) == sum(p.numel() for p in model.parameters())
    assert model.get_input_embeddings().weight.numel() <= parts["embeddings"]
    outputs = model.get_output_embeddings()
    assert outputs is None or parts["head"] < outputs.weight.numel()


def test_a_model_without_a_head_has_none() -> None:
    assert parameters_by_part(BertModel(BertConfig(**BERT)))["head"] == 0


class Recurrent(PreTrainedModel):
    """An embedding, a recurrent module and a linear layer."""

    config_class = BertConfig

    def __init__(self, module: nn.Module, width: int) -> None:
        super().__init__(BertConfig(vocab_size=30, max_position_embeddings=64))
        self.words, self.module, self.out = nn.Embedding(30, 5), module, nn.Linear(width, 3)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        return {"logits": self.out(self.module(input=self.words(input_ids))[0])}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    ("module", "width", "expected"),
    [
        (nn.LSTM(5, 7, batch_first=True), 7, 4 * 7 * (5 + 7)),
        (
            nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True),
            14,
            2 * 4 * 7 * (5 + 7) + 2 * 4 * 7 * (14 + 7),
        ),
        (nn.LSTM(5, 7, proj_size=2, batch_first=True), 2, 4 * 7 * (5 + 2) + 7 * 2),
        (nn.GRU(5, 7, batch_first=True), 7, 3 * 7 * (5 + 7)),
        (nn.RNN(5, 7, batch_first=True, bias=False), 7, 7 * (5 + 7)),
    ],
)
def test_recurrent_modules_count_their_gates_whatever_kernel_runs_them(
    module: nn.Module, width: int, expected: int
) -> None:
    assert recurrent_macs(module, 10) == 10 * expected
    # Of some of these torch's counter sees nothing, and of others everything.
    assert (
        macs(TorchSession(Recurrent(module, width).eval(), "cpu"), 10)
        == 10 * expected + 10 * width * 3
    )


def test_of_int8_weights_and_of_sessions_that_are_not_its_own_the_engine_cannot_tell() -> None:
    model = bert()
    model.classifier.weight = nn.Parameter(
        torch.zeros(LABELS, D, dtype=torch.int8), requires_grad=False
    )
    assert TorchEngine().counts(TorchSession(model, "cpu"), SimpleNamespace(), 8) is None
    assert TorchEngine().counts(SimpleNamespace(run=None), SimpleNamespace(), 8) is None


class Event:
    """A CUDA event that tells the order in which it was used."""

    log: list[str] = []

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.log.append("record")

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def elapsed_time(self, end: Event) -> float:
        assert end is not self
        return 1.5


def test_a_run_on_a_gpu_is_timed_between_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    session = TorchSession(bert(), "cuda")
    monkeypatch.setattr(sessions.torch.cuda, "Event", Event)
    monkeypatch.setattr(session, "run", lambda batch: Event.log.append("run"))
    assert session.elapsed({}) == 1.5
    assert Event.log == ["record", "run", "record", "synchronize"]


def test_off_a_gpu_there_are_no_events() -> None:
    assert TorchSession(bert(), "cpu").elapsed({}) is None
