"""The ONNX stages on a tiny BERT, and the engine on what they made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from compress_onnx import (
    FLOAT_FILE,
    INT8_FILE,
    ExportOnnx,
    OnnxRuntimeEngine,
    QuantizeOnnx,
    QuantizeOptions,
    exporting,
    rewriting,
)
from compress_onnx.graph import write_graph
from compress_onnx.rewriting import fuse
from compress_onnx.session import OnnxSession
from tiny import task_named, word_processor
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

from compress import machine
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Placement, Session
from compress.errors import EnvironmentFailure, ModelRefused
from compress.exportchecks import refuse_difference
from compress.machine import Processor
from compress.processor import TextProcessor
from compress.sessions import TorchSession
from compress.store.store import key_of
from compress.task import SAMPLE_TEXTS, Batch, Features, Row, Task, TextTaskOptions

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(45))]
ROWS = [{"id": i, "text": " ".join(f"w{(7 * i + j) % 45}" for j in range(2 + i))} for i in range(6)]
ONE = Placement("cpu", 1)


class Sentences(Task[TextTaskOptions]):
    """The least a task needs for these stages."""

    name = "text-classification"
    kind = "text-classification"

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        encodings = processor.encode(
            [row["text"] for row in rows], max_length=self.options.max_length
        )
        return [{"input_ids": e.ids} for e in encodings]

    def collate(
        self, features: Sequence[Features], processor: TextProcessor, generator: Any = None
    ) -> Batch:
        ids = np.zeros((len(features), max(map(self.length, features))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, f in enumerate(features):
            ids[i, : self.length(f)], mask[i, : self.length(f)] = f["input_ids"], 1
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

    def request(self, requests: Sequence[Any]) -> list[Row]:
        return [{"text": text} for text in requests]

    labels = normalise = predictions = score = present = None  # type: ignore[assignment]


def tiny_model(**config: Any) -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            **{
                **dict(
                    vocab_size=len(WORDS),
                    hidden_size=32,
                    num_hidden_layers=2,
                    num_attention_heads=4,
                    intermediate_size=48,
                    max_position_embeddings=40,
                    num_labels=3,
                    initializer_range=0.3,
                ),
                **config,
            }
        )
    ).eval()


def tokenizer() -> TextProcessor:
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return TextProcessor(made, {"pad_token": "[PAD]"}, "bert")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return saved(tiny_model(), tmp_path_factory.mktemp("teacher"))


def saved(model: BertForSequenceClassification, folder: Path) -> Artifact:
    model.save_pretrained(folder)
    tokenizer().save(folder)
    return manifested(folder, Traits(task="text-classification"))


def manifested(folder: Path, traits: Traits) -> Artifact:
    return Artifact(folder, Manifest(traits, digest_files(folder), "step", "stage", parameters=123))


def product_in(root: Path) -> Callable[..., Path]:
    """What ``Context.product`` does, with a folder in place of the store."""

    def product(kind: str, ingredients: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        folder = root / kind / key_of(ingredients)
        if not folder.exists():
            folder.mkdir(parents=True)
            make(folder)
        return folder

    return product


def apply(
    stage: type, source: Artifact, output: Path, rows: Sequence[Row] = ROWS, **options: Any
) -> tuple[Artifact, Any]:
    """The artifact that the stage makes, and what it says of it."""
    chosen = stage.Options(**options)
    output.mkdir(parents=True, exist_ok=True)
    data = (
        SimpleNamespace(rows=lambda split: list(rows) if split == "test" else []) if rows else None
    )
    made = stage().apply(
        SimpleNamespace(
            options=chosen,
            input=source,
            task=Sentences(TextTaskOptions(max_length=32)),
            architectures=(),
            data=data,
            output=output,
            product=product_in(source.folder.parent / "products"),
        )
    )
    return manifested(output, stage.produces(source.traits, chosen, "text-classification")), made


@pytest.fixture(scope="module")
def exported(teacher: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return apply(ExportOnnx, teacher, tmp_path_factory.mktemp("exported"))[0]


@pytest.fixture(scope="module")
def quantized(teacher: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return apply(QuantizeOnnx, teacher, tmp_path_factory.mktemp("quantized"), rows=())[0]


def outputs(artifact: Artifact) -> Mapping[str, np.ndarray]:
    task, processor = Sentences(TextTaskOptions(max_length=32)), TextProcessor.load(artifact.folder)
    batch = task.collate(task.features(ROWS, processor), processor)
    return OnnxRuntimeEngine().open(artifact, ONE, task).run({**batch, "labels": np.zeros(6)})


def expected(model: BertForSequenceClassification) -> np.ndarray:
    task, processor = Sentences(TextTaskOptions(max_length=32)), tokenizer()
    return TorchSession(model, "cpu").run(task.collate(task.features(ROWS, processor), processor))[
        "logits"
    ]


def test_an_exported_model_gives_the_logits_of_the_pytorch_model(exported: Artifact) -> None:
    logits = outputs(exported)["logits"]
    assert logits.dtype == np.float32
    assert np.abs(logits - expected(tiny_model())).max() < 1e-5  # 1.3e-6 measured


def test_an_exported_folder_has_one_model_file_with_its_config_and_tokenizer(
    exported: Artifact,
) -> None:
    assert sorted(exported.manifest.files) == [
        "config.json",
        FLOAT_FILE,
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert exported.traits == Traits("onnx", "float", "stock", False, "text-classification")
    assert json.loads((exported.folder / "config.json").read_text())["hidden_size"] == 32


def test_both_axes_of_an_exported_model_are_dynamic_and_named(exported: Artifact) -> None:
    graph = onnx.load(exported.folder / FLOAT_FILE).graph
    sizes = {i.name: [d.dim_param for d in i.type.tensor_type.shape.dim] for i in graph.input}
    assert sizes == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids"), ["batch_size", "sequence_length"]
    )


def test_an_int8_model_answers_nearly_as_the_float_one_with_int8_weights_and_embeddings(
    quantized: Artifact,
) -> None:
    reference = expected(tiny_model())
    assert (
        np.abs(outputs(quantized)["logits"] - reference).max() < 0.1 * np.abs(reference).max()
    )  # 0.046 measured
    stored = {t.name: t for t in onnx.load(quantized.folder / INT8_FILE).graph.initializer}
    big = [t for t in stored.values() if np.prod(t.dims) >= 32 * 32]
    embeddings = [t for t in big if "embeddings" in t.name]
    assert len(big) == 2 * 6 + 1 + 2 and len(embeddings) == 2
    assert {t.data_type for t in big} == {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    assert quantized.traits.precision == "int8" and not quantized.traits.trainable


def test_backing_off_takes_a_scale_for_each_channel_which_keeps_a_model_with_an_outlier(
    tmp_path: Path,
) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.classifier.weight[0] *= (
            50  # one scale for all would round the other classes' weights away
        )
    source = saved(model, tmp_path / "model")
    first = QuantizeOnnx.Options()
    second = QuantizeOnnx.back_off(first)
    assert second is not None and second.model_dump() == {**first.model_dump(), "per_channel": True}
    assert QuantizeOnnx.back_off(second) is None
    errors = [
        np.abs(
            outputs(
                apply(
                    QuantizeOnnx,
                    source,
                    tmp_path / f"try-{o.per_channel}",
                    rows=(),
                    **o.model_dump(),
                )[0]
            )["logits"]
            - expected(model)
        )[:, 1:].mean()
        for o in (first, second)
    ]
    assert errors[1] < errors[0] / 2


def test_the_parameter_count_is_inherited_and_what_was_quantized_is_noted(
    exported: Artifact, tmp_path: Path
) -> None:
    _, made = apply(QuantizeOnnx, exported, tmp_path, reduce_range=True)
    assert made.parameters == 123
    assert made.notes == {"int8_operators": 2 * 6 + 2, "reduce_range": True}


def test_the_float_graph_is_exported_once_whatever_is_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports, own = [], exporting.export_graph
    monkeypatch.setattr(exporting, "export_graph", lambda part: exports.append(part) or own(part))
    source = saved(tiny_model(num_hidden_layers=1), tmp_path / "model")
    plain, _ = apply(ExportOnnx, source, tmp_path / "plain")
    fused, _ = apply(ExportOnnx, source, tmp_path / "fused", rows=(), fusions=True)
    apply(QuantizeOnnx, source, tmp_path / "int8")
    apply(QuantizeOnnx, source, tmp_path / "channels", per_channel=True)
    assert len(exports) == 1
    assert "com.microsoft" in domains(fused.folder / FLOAT_FILE)
    assert "com.microsoft" not in domains(plain.folder / FLOAT_FILE)


def test_quantizing_gives_the_same_file_from_an_export_with_data_and_from_pytorch_without(
    exported: Artifact, quantized: Artifact, tmp_path: Path
) -> None:
    again, _ = apply(QuantizeOnnx, exported, tmp_path)
    assert again.manifest.files == quantized.manifest.files


def test_fusing_keeps_the_logits_and_needs_onnx_runtime(exported: Artifact, tmp_path: Path) -> None:
    graph = onnx_ir.load(exported.folder / FLOAT_FILE)
    fuse(graph)
    write_graph(graph, tmp_path / FLOAT_FILE)
    tokenizer().save(tmp_path)
    logits = outputs(replace(exported, folder=tmp_path))["logits"]
    assert np.abs(logits - expected(tiny_model())).max() < 1e-5  # 1.9e-6 measured
    assert "com.microsoft" in domains(tmp_path / FLOAT_FILE) - domains(exported.folder / FLOAT_FILE)


def test_int8_operators_of_a_fused_graph_are_asked_for_by_an_option(
    exported: Artifact, quantized: Artifact, tmp_path: Path
) -> None:
    fused, _ = apply(QuantizeOnnx, exported, tmp_path, fusions=True)
    kinds = {node.op_type for node in onnx.load(fused.folder / INT8_FILE).graph.node}
    assert "SkipLayerNormalization" in kinds
    assert (
        np.abs(outputs(fused)["logits"] - outputs(quantized)["logits"]).max() < 0.2
    )  # 0.068 measured


def domains(file: Path) -> set[str]:
    return {node.domain for node in onnx.load(file).graph.node}


def test_a_file_says_nothing_of_the_machine_it_was_made_on(
    exported: Artifact, quantized: Artifact
) -> None:
    for content in (
        (exported.folder / FLOAT_FILE).read_bytes(),
        (quantized.folder / INT8_FILE).read_bytes(),
    ):
        assert (
            b".py" not in content
            and os.sep.encode() + b"tmp" not in content
            and b"stack_trace" not in content
        )


def test_an_export_that_differs_from_the_model_is_an_error_that_says_by_how_much(
    exported: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = onnx_ir.load(exported.folder / FLOAT_FILE)
    monkeypatch.setattr(exporting, "export_graph", lambda part: graph)
    other = saved(tiny_model(initializer_range=0.2), tmp_path / "other")
    with pytest.raises(
        ModelRefused,
        match=r"'logits' of a batch of 1x\d+ differs from .* a bert model by .*0\.001",
    ):
        apply(ExportOnnx, other, tmp_path / "out")


@pytest.mark.parametrize(
    ("got", "problem"),
    [
        ({}, "is missing"),
        ({"logits": np.zeros((1, 2))}, r"has the shape \(1, 2\), and that of it is \(3, 2\)"),
        ({"logits": np.full((3, 2), np.nan)}, "differs from that of it by nan"),
    ],
)
def test_an_output_that_is_missing_stretched_or_no_number_is_no_faithful_one(
    got: dict[str, np.ndarray], problem: str
) -> None:
    batch = {"input_ids": np.zeros((3, 4), dtype=np.int64)}
    expected, made = (
        cast(Session, SimpleNamespace(run=lambda batch, outputs=outputs: outputs))
        for outputs in ({"logits": np.zeros((3, 2))}, got)
    )
    with pytest.raises(ModelRefused, match=rf"'logits' of a batch of 3x4 {problem}"):
        refuse_difference(expected, made, [batch], "it")


def test_a_graph_that_does_not_run_on_a_batch_is_refused_with_its_size_and_the_family() -> None:
    def fail(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise ModelRefused("axis 1 is not in range")

    expected = cast(Session, SimpleNamespace(run=lambda batch: {}))
    batch = {"input_ids": np.zeros((1, 4), dtype=np.int64)}
    with pytest.raises(ModelRefused, match=r"on a batch of 1x4, as a toy model does: axis 1 is"):
        made = cast(Session, SimpleNamespace(run=fail))
        refuse_difference(expected, made, [batch], "a toy model")


def test_inputs_that_no_task_gives_are_named_in_one_line(tmp_path: Path) -> None:
    for kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64):
        file = tmp_path / f"{kind}.onnx"
        given = onnx.helper.make_tensor_value_info("ages", kind, [1])
        made = onnx.helper.make_tensor_value_info("out", kind, [1])
        node = onnx.helper.make_node("Identity", ["ages"], ["out"])
        graph = onnx.helper.make_graph([node], "toy", [given], [made])
        opsets = [onnx.helper.make_opsetid("", 20)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), file)
        with pytest.raises(ModelRefused, match=r"'ages' is a tensor\(float16\)|lacks: ages$"):
            OnnxSession(file, ONE).run({"input_ids": np.zeros((1, 2))})


def test_quantizing_what_has_no_weights_to_quantize_is_an_error(
    exported: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "quantize_graph", lambda graph, **_: graph)
    with pytest.raises(ModelRefused, match="found nothing to quantize"):
        apply(QuantizeOnnx, exported, tmp_path)


def test_outputs_that_are_not_finite_are_an_error(exported: Artifact, tmp_path: Path) -> None:
    shutil.copytree(exported.folder, tmp_path / "broken")
    proto = onnx.load(exported.folder / FLOAT_FILE)
    norm = next(t for t in proto.graph.initializer if list(t.dims) == [32])
    norm.CopyFrom(onnx.numpy_helper.from_array(np.full(32, np.inf, dtype=np.float32), norm.name))
    onnx.save(proto, tmp_path / "broken" / FLOAT_FILE)
    with pytest.raises(ModelRefused, match="outputs are not finite: logits"):
        apply(QuantizeOnnx, replace(exported, folder=tmp_path / "broken"), tmp_path / "out")


@pytest.mark.parametrize(
    ("flags", "lacks"), [("avx512f avx512_vnni", False), ("avx_vnni avx2", False), ("avx2", True)]
)
def test_the_range_is_reduced_only_on_processors_without_vnni(
    flags: str, lacks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        machine, "processor", lambda: Processor("a processor", "", tuple(flags.split()))
    )
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    assert machine.lacks_vnni() is lacks
    assert QuantizeOptions().left_to_machine() == {"reduce_range": lacks}
    assert QuantizeOptions(reduce_range=not lacks).left_to_machine() == {}
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert not machine.lacks_vnni()


@pytest.mark.parametrize("name", ["fill-mask", "text-classification", "token-classification"])
def test_every_task_can_be_traced_without_rows(name: str) -> None:
    task = task_named(name)
    features = task.features(task.request(SAMPLE_TEXTS), word_processor())
    assert len({task.length(f) for f in features}) == 3


def test_a_gpu_that_onnx_runtime_was_not_built_for_is_an_error(exported: Artifact) -> None:
    if "cuda" in OnnxRuntimeEngine().devices():
        pytest.skip("this build of ONNX Runtime has a GPU provider")
    with pytest.raises(EnvironmentFailure, match="is not built for cuda, it has: cpu"):
        OnnxRuntimeEngine().open(
            exported, replace(ONE, device="cuda"), Sentences(TextTaskOptions(max_length=32))
        )


def test_running_a_model_and_taking_an_exported_one_import_no_torch_and_send_no_telemetry(
    exported: Artifact,
) -> None:
    code = f"""
import os, sys
from pathlib import Path
import numpy as np
import compress_onnx.make
from compress_onnx import OnnxRuntimeEngine, FLOAT_FILE
from compress import machine
from compress.artifact import Artifact, Manifest, Traits
from compress.engine import Placement, Session
artifact = Artifact(Path({str(exported.folder)!r}), Manifest(Traits("onnx"), {{}}, "", ""))
session = OnnxRuntimeEngine().open(artifact, Placement("cpu", 1), None)
ids = np.ones((1, 3), dtype=np.int64)
assert session.run({{n: ids for n in session.inputs}})["logits"].shape == (1, 3)
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
sys.exit("torch" in sys.modules or "transformers" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
