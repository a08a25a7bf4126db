from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from compress_architectures import BertLike, DistilBert, LlamaLike, compress_architectures
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from compress import surgery
from compress.architecture import Architecture
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.cutting import projection_at
from compress.errors import CompressError, IntegrityError, UsageError
from compress.heads import auto_class_of
from compress.models import open_model
from compress.shapes import replay, settle
from compress.sizes import Sizes, architecture_of, sizes

ALL = compress_architectures()
MODEL_TYPES = [(a, t) for a in (BertLike, DistilBert, LlamaLike) for t in a.model_types]
BERT, LLAMA = BertLike.layout.stacks[0], LlamaLike.layout.stacks[0]
IDS = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]])
HEAD = 8


def config(model_type: str, **extra):
    values = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "vocab_size": 60,
        "pad_token_id": 0,
        "max_position_embeddings": 40,
    }
    values["hidden_dim" if model_type == "distilbert" else "intermediate_size"] = 48
    if model_type in LlamaLike.model_types:
        values |= {"num_key_value_heads": 2, "head_dim": HEAD}
    values = {key: value for key, value in (values | extra).items() if value is not None}
    return AutoConfig.for_model(model_type, **values)


def build(model_type: str, cls=AutoModel, **extra):
    torch.manual_seed(0)
    model = cls.from_config(config(model_type, **extra)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # no zero biases and unit norms
    return model


def run(model):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=torch.ones_like(IDS))[0]


def silence(model, architecture, block, columns, part):
    (stack,) = architecture.layout.stacks
    path = getattr(stack, part).output
    with torch.no_grad():
        surgery.blocks_of(model, stack)[block].get_submodule(path).weight[:, columns] = 0


def keep_heads(model, stack, block, heads, head_size=HEAD):
    surgery.keep_heads(model, stack, stack.attention, block, heads, head_size)


def reload(model, tmp_path, edits):
    """The model as an empty one of its saved config, shaped by the edits and filled strictly from
    the saved weights."""
    model.save_pretrained(tmp_path)
    edits = json.loads(json.dumps(edits))
    with torch.device("meta"):
        empty = type(model)(AutoConfig.from_pretrained(tmp_path))
    replay(empty, edits)
    shapes = {n: p.shape for n, p in empty.named_parameters()}
    assert shapes == {n: p.shape for n, p in model.named_parameters()}
    real = type(model)(AutoConfig.from_pretrained(tmp_path))
    replay(real, edits)
    real.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    return real.eval()


@pytest.mark.parametrize(("architecture", "model_type"), MODEL_TYPES)
def test_a_cut_of_silent_units_keeps_the_outputs_of_every_model_type(architecture, model_type):
    model = build(model_type)
    kept = [0, *range(2, 40)]
    cut = sorted(set(range(48)) - set(kept))
    silence(model, architecture, 1, cut, "feed_forward")
    silence(
        model, architecture, 2, range(16, 32), "attention"
    )  # heads 2 and 3: one group of llama's
    before, (stack,) = run(model), architecture.layout.stacks
    surgery.keep_feed_forward(model, architecture.layout.stacks[0], 1, kept)
    keep_heads(model, architecture.layout.stacks[0], 2, [0, 1], HEAD)
    torch.testing.assert_close(run(model), before, atol=1e-6, rtol=0)  # measured: 6e-8 at most
    assert surgery.feed_forward_widths(model, stack) == [48, len(kept), 48]
    full = (4, 2) if architecture is LlamaLike else (4, 4)
    assert surgery.head_counts(model, stack, stack.attention, HEAD) == [
        full,
        full,
        (2, full[1] // 2),
    ]


def shapes_of(block, *paths):
    """Shapes of weight and bias of each linear layer."""
    linears = [projection_at(block, path) for path in paths]
    return [(tuple(x.weight.shape), tuple(x.bias.shape)) for x in linears]


def test_the_cuts_that_the_module_explains_give_the_shapes_that_it_states():
    model = build("bert", hidden_size=8, num_attention_heads=4, intermediate_size=6)
    block = surgery.blocks_of(model, BERT)[0]
    query = projection_at(block, "attention.self.query").weight
    neurons = projection_at(block, "output.dense").weight
    keep_heads(model, BERT, 0, [0, 2], 2)
    surgery.keep_feed_forward(model, BERT, 0, [1, 3, 4])
    heads = [f"attention.self.{name}" for name in ("query", "key", "value")]
    assert shapes_of(block, *heads) == [((4, 8), (4,))] * 3
    assert shapes_of(block, "attention.output.dense") == [((8, 4), (8,))]
    assert shapes_of(block, "intermediate.dense") == [((3, 8), (3,))]
    assert shapes_of(block, "output.dense") == [((8, 3), (8,))]
    attention = block.attention.self
    assert (attention.num_attention_heads, attention.all_head_size) == (2, 4)
    assert torch.equal(attention.query.weight, query[[0, 1, 4, 5]])
    assert torch.equal(block.output.dense.weight, neurons[:, [1, 3, 4]])

    shared = build("llama", hidden_size=8, num_key_value_heads=2, head_dim=2)
    block = surgery.blocks_of(shared, LLAMA)[0]
    query, key = block.self_attn.q_proj.weight, block.self_attn.k_proj.weight
    keep_heads(shared, LLAMA, 0, [2, 3], 2)
    assert torch.equal(block.self_attn.q_proj.weight, query[4:8])
    assert torch.equal(block.self_attn.k_proj.weight, key[2:4])


@pytest.mark.parametrize(("architecture", "model_type"), MODEL_TYPES)
def test_sizes_are_right_for_every_model_type(architecture, model_type):
    shared = 2 if architecture is LlamaLike else None
    assert sizes(config(model_type), ALL) == Sizes(3, 32, 4, HEAD, 48, 60, shared)


@pytest.mark.parametrize("model_type", ["bert", "electra", "distilbert", "llama", "qwen2"])
def test_layers_and_one_feed_forward_width_reload_without_edits(model_type, tmp_path):
    model, architecture = build(model_type), architecture_of(model_type, ALL)
    surgery.keep_layers(model, architecture.layout.stacks[0], [0, 2])
    for block in range(2):
        surgery.keep_feed_forward(
            model, architecture.layout.stacks[0], block, range(block, 24 + block)
        )
    assert settle(model, architecture) == []
    model.save_pretrained(tmp_path)
    again, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    torch.testing.assert_close(run(again.eval()), run(model), atol=0, rtol=0)
    assert sizes(again.config, ALL).feed_forward == 24 and sizes(again.config, ALL).layers == 2


def test_kept_layers_are_those_asked_for_and_are_renumbered():
    model = build("qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1)
    types, second = model.config.layer_types, model.layers[2]
    assert len(set(types)) == 2
    surgery.keep_layers(model, LLAMA, [1, 2])
    assert model.layers[1] is second and second.self_attn.layer_idx == 1
    assert model.config.layer_types == types[1:]


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "llama"])
def test_a_free_shape_is_replayed_so_that_a_strict_load_fits(model_type, tmp_path):
    model, architecture = (
        build(model_type, AutoModelForSequenceClassification),
        architecture_of(model_type, ALL),
    )
    keep_heads(model, architecture.layout.stacks[0], 0, [2, 3])
    surgery.keep_feed_forward(model, architecture.layout.stacks[0], 1, range(3, 19))
    settled = settle(model, architecture)
    assert [(e["op"], e["block"][-1], e["keep"]) for e in settled] == [
        ("feed_forward", "1", 16),
        ("heads", "0", 2),
    ]
    torch.testing.assert_close(run(reload(model, tmp_path, settled)), run(model), atol=0, rtol=0)


FREE = [
    ("bert", AutoModelForMaskedLM, "fill-mask"),
    ("llama", AutoModelForCausalLM, "text-generation"),
]


def free_artifact(folder, model_type, cls):
    """A model with tied embeddings, buffers that are not saved and one block of other heads; its
    artifact."""
    model = build(model_type, cls, tie_word_embeddings=True)
    keep_heads(model, architecture_of(model_type, ALL).layout.stacks[0], 0, [2, 3])
    edits = settle(model, architecture_of(model_type, ALL))
    model.save_pretrained(folder)
    Manifest(Traits(shape="free"), digest_files(folder), "step", "stage", edits=tuple(edits)).write(
        folder
    )
    return model, Artifact.open(folder)


@pytest.mark.parametrize(("model_type", "cls", "task"), FREE)
def test_a_free_artifact_opens_with_its_tied_weights_and_unsaved_buffers(
    model_type, cls, task, tmp_path
):
    model, artifact = free_artifact(tmp_path, model_type, cls)
    state = torch.random.get_rng_state()
    again = open_model(artifact, SimpleNamespace(model_class=lambda config: auto_class_of(task)))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(run(again), run(model), atol=0, rtol=0)
    assert again.get_input_embeddings().weight is again.get_output_embeddings().weight
    assert not again.training and all(
        p.requires_grad and p.dtype == torch.float32 for p in again.parameters()
    )


def test_a_free_artifact_whose_weights_do_not_fit_is_refused(tmp_path):
    _, artifact = free_artifact(tmp_path, "bert", AutoModelForMaskedLM)
    task, weights = (
        SimpleNamespace(model_class=lambda config: "AutoModelForMaskedLM"),
        load_file(tmp_path / "model.safetensors"),
    )
    name = "bert.encoder.layer.0.attention.self.query.bias"
    for changed, message in (
        ({k: v for k, v in weights.items() if k != name}, f"missing: {name}"),
        ({**weights, "stray": torch.ones(1)}, "unexpected: stray"),
        ({**weights, name: torch.ones(32)}, "do not have the shapes"),
    ):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(IntegrityError, match=message):
            open_model(artifact, task)


def test_a_model_that_was_cut_before_is_cut_again_and_its_edits_follow_its_layers(tmp_path):
    model = build("bert", AutoModelForSequenceClassification)
    keep_heads(model, BERT, 2, [1], HEAD)
    assert settle(model, BertLike)[0]["block"] == "bert.encoder.layer.2"
    surgery.keep_layers(model, BERT, [1, 2])
    edits = settle(model, BertLike)
    assert [(e["op"], e["block"], e["keep"]) for e in edits] == [
        ("heads", "bert.encoder.layer.1", 1)
    ]
    torch.testing.assert_close(run(reload(model, tmp_path, edits)), run(model), atol=0, rtol=0)


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3"])
def test_one_head_count_is_stock_where_the_head_size_is_stated(model_type, tmp_path):
    model = build(model_type, num_attention_heads=8, num_key_value_heads=4, head_dim=HEAD)
    for block in range(3):
        keep_heads(model, LLAMA, block, [2 * block, 2 * block + 1], HEAD)
    assert settle(model, LlamaLike) == []
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(run(again), run(model), atol=0, rtol=0)
    assert again.config.num_attention_heads == 2 and again.config.num_key_value_heads == 1


def test_a_head_count_that_the_config_refuses_becomes_edits(tmp_path):
    models = {kind: build(kind, num_key_value_heads=4) for kind in ("llama", "mistral")}
    for model in models.values():
        for block in range(3):
            keep_heads(model, LLAMA, block, [0, 2, 3], HEAD)  # 3 heads do not divide 32
    assert settle(models["mistral"], LlamaLike) == []
    edits = settle(models["llama"], LlamaLike)
    assert len(edits) == 3 and models["llama"].config.num_attention_heads == 4
    torch.testing.assert_close(
        run(reload(models["llama"], tmp_path, edits)), run(models["llama"]), atol=0, rtol=0
    )


def test_settling_an_uncut_model_changes_nothing():
    for architecture, model_type in MODEL_TYPES:
        model = build(model_type, **({"head_dim": None} if model_type == "qwen2" else {}))
        before = model.config.to_dict()
        assert settle(model, architecture) == [] and model.config.to_dict() == before


def test_cuts_that_make_no_sense_are_refused():
    bert, llama = build("bert"), build("llama")
    with pytest.raises(CompressError, match="whole groups, or as many heads of each"):
        keep_heads(llama, LLAMA, 0, [0, 1, 2], HEAD)
    with pytest.raises(CompressError, match="from 0 to 3"):
        keep_heads(bert, BERT, 0, [4], HEAD)
    with pytest.raises(CompressError, match="ascending"):
        surgery.keep_feed_forward(bert, BERT, 0, [3, 3])
    with pytest.raises(CompressError, match="at least one"):
        surgery.keep_layers(bert, BERT, [])


def test_edits_that_do_not_fit_the_model_are_refused():
    model = build("bert")
    surgery.keep_feed_forward(model, BERT, 1, range(40))
    (edit,) = settle(model, BertLike)
    for change, message in (
        ({"block": "encoder.layer.7"}, "does not have"),
        ({"op": "embed"}, "no installed plugin knows the edit 'embed'"),
        ({"keep": 100}, "from 0 to 47"),
    ):
        with pytest.raises(CompressError, match=message):
            replay(build("bert"), [{**edit, **change}])


def test_sizes_without_an_architecture_come_from_optimum_and_are_none_where_unknown():
    t5 = sizes(
        AutoConfig.for_model("t5", d_model=32, d_kv=16, num_heads=4, num_layers=2, vocab_size=60),
        ALL,
    )
    assert (t5.hidden, t5.heads, t5.head_size, t5.layers) == (32, 4, 16, 2)
    assert sizes(AutoConfig.for_model("gpt2", n_embd=32, n_head=4), ALL).feed_forward is None
    assert sizes(SimpleNamespace(model_type="lstm", vocab_size=60), ALL) == Sizes(
        None, None, None, None, None, 60
    )


def test_two_architectures_for_one_model_type_are_a_usage_error():
    class Other(Architecture):
        name = "other"
        model_types = ("bert",)

    with pytest.raises(UsageError, match="bert, other"):
        architecture_of("bert", [*ALL, Other])
    assert architecture_of("unheard-of", ALL) is None


@pytest.mark.parametrize("model_type", LlamaLike.model_types)
def test_as_many_heads_of_each_group_may_stay(model_type, tmp_path):
    """Of 4 query heads that share 2 key and value heads, the first and the last."""
    model = build(model_type, AutoModelForCausalLM)
    with torch.no_grad():
        for block in surgery.blocks_of(model, LLAMA):
            block.self_attn.o_proj.weight[:, HEAD : 3 * HEAD] = 0
    before = run(model)
    keep_heads(model, LLAMA, 0, [0, 3])
    torch.testing.assert_close(run(model), before, atol=1e-5, rtol=0)
    assert surgery.head_counts(model, LLAMA, LLAMA.attention, HEAD) == [(2, 2), (4, 2), (4, 2)]
    edits = settle(model, LlamaLike)
    assert [(e["op"], e["keep"]) for e in edits] == [("heads", 2)]
    torch.testing.assert_close(
        run(reload(model, tmp_path / "free", edits)), run(model), atol=0, rtol=0
    )
    for block in (1, 2):
        keep_heads(model, LLAMA, block, [0, 3])
    torch.testing.assert_close(run(model), before, atol=1e-5, rtol=0)
    assert settle(model, LlamaLike) == []
    model.save_pretrained(tmp_path / "stock")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "stock").eval()
    torch.testing.assert_close(run(again), run(model), atol=0, rtol=0)


def test_an_edit_states_key_and_value_heads_where_heads_share_them(tmp_path):
    model = build("qwen2", num_attention_heads=8, num_key_value_heads=2)
    keep_heads(model, LLAMA, 1, [0, 1, 3, 4, 5, 7])
    (edit,) = settle(model, LlamaLike)
    assert (edit["keep"], edit["shared"]) == (6, 2)
    torch.testing.assert_close(run(reload(model, tmp_path, [edit])), run(model), atol=0, rtol=0)
