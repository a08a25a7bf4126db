"""Encoder and decoder families: the paths of their parts, and the config keys of their
sizes."""

from __future__ import annotations

from collections.abc import Sequence

from compress import hookimpl
from compress.architecture import Architecture, AttentionLayout, FeedForwardLayout, Layout

_COMMON_SIZES = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "vocabulary": "vocab_size",
}


class BertLike(Architecture):
    """Families that name their modules as BERT does. Their configs state no head size (it
    is hidden / heads), so plain transformers cannot open a model that lost heads."""

    name = "bert"
    summary = "BERT and the encoders that share its module names (RoBERTa, ELECTRA, ERNIE, ...)."
    model_types = (
        "bert",
        "bert-generation",
        "camembert",
        "data2vec-text",
        "electra",
        "ernie",
        "layoutlm",
        "markuplm",
        "megatron-bert",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roformer",
        "splinter",
        "xlm-roberta",
        "xlm-roberta-xl",
    )
    sizes = _COMMON_SIZES
    layout = Layout(
        blocks="encoder.layer",
        attention=AttentionLayout(
            query="attention.self.query",
            key="attention.self.key",
            value="attention.self.value",
            output="attention.output.dense",
            counts=(
                ("attention.self", "num_attention_heads", "heads"),
                ("attention.self", "all_head_size", "width"),
            ),
        ),
        feed_forward=FeedForwardLayout(inputs=("intermediate.dense",), output="output.dense"),
    )


class DistilBert(Architecture):
    """DistilBERT. Its config names sizes in its own way; the feed-forward width is
    ``hidden_dim``."""

    name = "distilbert"
    summary = "DistilBERT."
    model_types = ("distilbert",)
    sizes = {
        "layers": "n_layers",
        "hidden": "dim",
        "heads": "n_heads",
        "feed_forward": "hidden_dim",
        "vocabulary": "vocab_size",
    }
    layout = Layout(
        blocks="transformer.layer",
        attention=AttentionLayout(
            query="attention.q_lin",
            key="attention.k_lin",
            value="attention.v_lin",
            output="attention.out_lin",
            counts=(("attention", "n_heads", "heads"), ("attention", "dim", "width")),
        ),
        feed_forward=FeedForwardLayout(inputs=("ffn.lin1",), output="ffn.lin2"),
    )


class LlamaLike(Architecture):
    """Decoders with a gated feed-forward network and a stated head size. Llama's own config
    accepts only a head count that divides the hidden width; other counts are edits
    there."""

    name = "llama"
    summary = "Llama and the decoders that share its module names (Mistral, Qwen2, Qwen3)."
    model_types = ("llama", "mistral", "qwen2", "qwen3")
    sizes = {**_COMMON_SIZES, "key_value_heads": "num_key_value_heads", "head_size": "head_dim"}
    states_head_size = True
    layout = Layout(
        blocks="layers",
        attention=AttentionLayout(
            query="self_attn.q_proj",
            key="self_attn.k_proj",
            value="self_attn.v_proj",
            output="self_attn.o_proj",
            counts=(),
        ),
        feed_forward=FeedForwardLayout(
            inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj"
        ),
    )


@hookimpl
def compress_architectures() -> Sequence[type[Architecture]]:
    """The families described here."""
    return [BertLike, DistilBert, LlamaLike]
