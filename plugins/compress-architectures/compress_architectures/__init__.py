"""Encoder and decoder families: the paths of their parts, and the config keys of their
sizes."""

from __future__ import annotations

from collections.abc import Sequence

from compress import hookimpl
from compress.architecture import (
    Architecture,
    AttentionLayout,
    FeedForwardLayout,
    Layout,
    SharedBias,
    Stack,
)

_COMMON_SIZES = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "vocabulary": "vocab_size",
}


def _bert_layout(is_product: bool) -> Layout:
    attention = AttentionLayout(
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        output="attention.output.dense",
        counts=(
            ("attention.self", "num_attention_heads", "heads"),
            ("attention.self", "all_head_size", "width"),
        ),
        is_product=is_product,
    )
    feed_forward = FeedForwardLayout(inputs=("intermediate.dense",), output="output.dense")
    return Layout((Stack("encoder.layer", attention, feed_forward),))


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
        "splinter",
        "xlm-roberta",
        "xlm-roberta-xl",
    )
    sizes = _COMMON_SIZES
    layout = _bert_layout(is_product=True)


class RoFormer(Architecture):
    """RoFormer, a BERT whose positions turn queries and keys."""

    name = "roformer"
    summary = "RoFormer."
    model_types = ("roformer",)
    sizes = _COMMON_SIZES
    layout = _bert_layout(is_product=False)


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
        (
            Stack(
                blocks="transformer.layer",
                attention=AttentionLayout(
                    query="attention.q_lin",
                    key="attention.k_lin",
                    value="attention.v_lin",
                    output="attention.out_lin",
                    counts=(("attention", "n_heads", "heads"), ("attention", "dim", "width")),
                    is_product=True,
                ),
                feed_forward=FeedForwardLayout(inputs=("ffn.lin1",), output="ffn.lin2"),
            ),
        )
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
    states_hidden = True
    layout = Layout(
        (
            Stack(
                blocks="layers",
                attention=AttentionLayout(
                    query="self_attn.q_proj",
                    key="self_attn.k_proj",
                    value="self_attn.v_proj",
                    output="self_attn.o_proj",
                    counts=(("self_attn", "num_key_value_groups", "group"),),
                ),
                feed_forward=FeedForwardLayout(
                    inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj"
                ),
            ),
        )
    )


class Gpt2(Architecture):
    """GPT-2. One layer computes queries, keys and values, and weights are transposed. A
    feed-forward width that the config leaves empty is four times the hidden width."""

    name = "gpt2"
    summary = "GPT-2."
    model_types = ("gpt2",)
    sizes = {
        "layers": "n_layer",
        "hidden": "n_embd",
        "heads": "n_head",
        "feed_forward": "n_inner",
        "vocabulary": "vocab_size",
    }
    layout = Layout(
        (
            Stack(
                blocks="h",
                attention=AttentionLayout(
                    query="attn.c_attn",
                    key="attn.c_attn",
                    value="attn.c_attn",
                    output="attn.c_proj",
                    counts=(("attn", "num_heads", "heads"), ("attn", "split_size", "width")),
                ),
                feed_forward=FeedForwardLayout(inputs=("mlp.c_fc",), output="mlp.c_proj"),
            ),
        )
    )


def _bart_attention(name: str) -> AttentionLayout:
    return AttentionLayout(
        query=f"{name}.q_proj",
        key=f"{name}.k_proj",
        value=f"{name}.v_proj",
        output=f"{name}.out_proj",
        counts=((name, "num_heads", "heads"), (name, "embed_dim", "width")),
    )


def _bart_stack(name: str, cross_attention: AttentionLayout | None = None) -> Stack:
    return Stack(
        name=name,
        blocks=f"{name}.layers",
        attention=_bart_attention("self_attn"),
        cross_attention=cross_attention,
        feed_forward=FeedForwardLayout(inputs=("fc1",), output="fc2"),
        keys={"layers": f"{name}_layers", "feed_forward": f"{name}_ffn_dim"},
    )


class BartLike(Architecture):
    """Encoders and decoders that name their modules as BART does. Their configs state no head size,
    so plain transformers cannot open a model that lost heads."""

    name = "bart"
    summary = "BART and the models that share its module names (mBART, Marian, Pegasus)."
    model_types = ("bart", "marian", "mbart", "pegasus")
    sizes = {
        "layers": "encoder_layers",
        "hidden": "d_model",
        "heads": "encoder_attention_heads",
        "feed_forward": "encoder_ffn_dim",
        "vocabulary": "vocab_size",
    }
    layout = Layout(
        (_bart_stack("encoder"), _bart_stack("decoder", _bart_attention("encoder_attn")))
    )


def _t5_attention(name: str, bias: SharedBias | None = None) -> AttentionLayout:
    return AttentionLayout(
        query=f"{name}.q",
        key=f"{name}.k",
        value=f"{name}.v",
        output=f"{name}.o",
        counts=((name, "n_heads", "heads"), (name, "inner_dim", "width")),
        bias=bias,
    )


_T5_SELF_ATTENTION = _t5_attention(
    "layer.0.SelfAttention",
    SharedBias("layer.0.SelfAttention", "relative_attention_bias", "has_relative_attention_bias"),
)


def _t5_feed_forward(layer: int) -> FeedForwardLayout:
    """Of a T5 or, with two inputs, of a gated one (T5 1.1, mT5)."""
    place = f"layer.{layer}.DenseReluDense"
    inputs = tuple(f"{place}.{name}" for name in ("wi", "wi_0", "wi_1"))
    return FeedForwardLayout(inputs, f"{place}.wo")


class T5(Architecture):
    """T5. All blocks of a stack add the position biases of its first block, so in their attention
    to themselves they keep the same heads. That to the encoder has no such biases."""

    name = "t5"
    summary = "T5 and mT5."
    model_types = ("t5", "mt5")
    sizes = {
        "layers": "num_layers",
        "hidden": "d_model",
        "heads": "num_heads",
        "head_size": "d_kv",
        "feed_forward": "d_ff",
        "vocabulary": "vocab_size",
    }
    states_head_size = True
    layout = Layout(
        (
            Stack(
                name="encoder",
                blocks="encoder.block",
                attention=_T5_SELF_ATTENTION,
                feed_forward=_t5_feed_forward(1),
                keys={"layers": "num_layers"},
            ),
            Stack(
                name="decoder",
                blocks="decoder.block",
                attention=_T5_SELF_ATTENTION,
                cross_attention=_t5_attention("layer.1.EncDecAttention"),
                feed_forward=_t5_feed_forward(2),
                keys={"layers": "num_decoder_layers"},
            ),
        )
    )


@hookimpl
def compress_architectures() -> Sequence[type[Architecture]]:
    """The families described here."""
    return [BertLike, RoFormer, DistilBert, LlamaLike, Gpt2, BartLike, T5]
