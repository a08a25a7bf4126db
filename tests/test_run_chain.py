"""The whole chain: what its artifacts are, that they open where compress is not, and what a changed
recipe makes anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import running
import torch
from running import UNMEASURED, Run, environment, run
from tiny import sentences, task_named
from transformers import AutoModelForSequenceClassification

from compress.api import load
from compress.artifact import Artifact
from compress.engine import Placement
from compress.models import open_model
from compress.registry.plugins import load_plugins

pytest_plugins = ["finished"]

STEPS = ["pretrain", "teacher", "distill", "slim", "quantize.bitsandbytes", "free", "quantize.onnx"]
STOCK = {
    "pretrain": "AutoModelForMaskedLM",
    "teacher": "AutoModelForSequenceClassification",
    "distill": "AutoModelForSequenceClassification",
    "slim": "AutoModelForSequenceClassification",
    "quantize.bitsandbytes": "AutoModelForSequenceClassification",
}
TEXTS = [row["text"] for row in sentences(5, 9)]

# Runs before anything else in a process that must do without what it names.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith({names}):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""
PLAIN_TRANSFORMERS = """
import json, numpy, torch, transformers
answers = {}
for name, (folder, head) in json.loads(sys.argv[1]).items():
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, info = getattr(transformers, head).from_pretrained(folder, output_loading_info=True)
    assert not (info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]), info
    texts = json.loads(sys.argv[2])
    with torch.no_grad():
        inputs = [tokenizer(text, truncation=True, return_tensors="pt") for text in texts]
        answers[name] = [model.eval()(**one).logits.flatten().tolist() for one in inputs]
print(json.dumps(answers))
"""
PLAIN_ONNX = """
import json, numpy, onnxruntime, tokenizers
folder, texts = sys.argv[1], json.loads(sys.argv[2])
tokenizer = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.enable_truncation(16)
file = folder + "/onnx/model_quantized.onnx"
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
answers = []
for text in texts:
    e = tokenizer.encode(text)
    feeds = {"input_ids": e.ids, "attention_mask": e.attention_mask, "token_type_ids": e.type_ids}
    feeds = {i.name: numpy.array([feeds[i.name]], dtype=numpy.int64) for i in session.get_inputs()}
    answers.append(session.run(["logits"], feeds)[0].flatten().tolist())
print(json.dumps(answers))
"""


def elsewhere(script: str, *words: str, absent: tuple[str, ...]) -> Any:
    """What ``script`` prints as JSON in a process that cannot import the packages ``absent``."""
    code = WITHOUT.replace("{names}", repr(absent)) + script
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def logits(folder: Path) -> list[list[float]]:
    """Logits of ``TEXTS`` one by one, by the engine of the artifact's format."""
    artifact, registry = Artifact.open(folder), load_plugins()
    task = task_named(str(artifact.traits.task))
    engine = next(
        e.cls() for e in registry.engines.values() if artifact.traits.format in e.cls.formats
    )
    session, processor = engine.open(artifact, Placement("cpu", 1), task), task.processor(folder)
    found = []
    for text in TEXTS:
        (encoding,) = processor.encode([text], max_length=16)
        batch = {
            "input_ids": np.array([encoding.ids]),
            "attention_mask": np.ones((1, len(encoding.ids)), dtype=np.int64),
            "token_type_ids": np.zeros((1, len(encoding.ids)), dtype=np.int64),
        }
        found.append(session.run(batch)["logits"].flatten().tolist())
    return found


def test_every_step_leaves_an_artifact_that_says_what_it_is(chain: Run) -> None:
    assert [s["name"] for s in chain.report["steps"] if s["role"] != "reference-engine"] == STEPS
    expected = {  # format, precision, shape, trainable
        "pretrain": ("pytorch", "float", "stock", True),
        "teacher": ("pytorch", "float", "stock", True),
        "distill": ("pytorch", "float", "stock", True),
        "slim": ("pytorch", "float", "stock", True),
        "quantize.bitsandbytes": ("pytorch", "int8", "stock", False),
        "free": ("pytorch", "float", "free", True),
        "quantize.onnx": ("onnx", "int8", "stock", False),
    }
    for name in STEPS:
        manifest = Artifact.open(chain.artifact(name)).manifest
        traits = manifest.traits
        assert (traits.format, traits.precision, traits.shape, traits.trainable) == expected[
            name
        ], name
        assert traits.task == ("fill-mask" if name == "pretrain" else "text-classification")
        assert bool(manifest.edits) == bool(manifest.needs) == (name == "free")
        assert manifest.labels == (() if name == "pretrain" else ("bad", "good"))
        assert not [
            file
            for file in manifest.files
            if Path(file).suffix in (".bin", ".pt", ".pth", ".pkl", ".tmp", "")
        ]
    assert [
        a["step"] for a in Artifact.open(chain.artifact("quantize.onnx")).manifest.lineage
    ] == STEPS[:3] + ["free"]


def test_a_run_leaves_nothing_unfinished_in_the_store(chain: Run) -> None:
    for left in ("staging", "work"):
        assert list((chain.store / left).iterdir()) == []
    products = chain.store / "products"
    assert sorted(path.name for path in products.iterdir()) == [
        "artifact",
        "config",
        "data",
        "families",
        "onnx-graph",
        "teacher-outputs",
    ]
    assert all((path / "record.json").is_file() for path in products.glob("*/*"))
    assert (
        len(list(products.glob("data/*"))) == 2
        and len(list(products.glob("teacher-outputs/*"))) == 1
    )


def test_without_meters_nothing_is_measured_and_all_is_made(chain: Run) -> None:
    assert chain.report["state"] == "finished"
    assert all(step["measurements"] == {} for step in chain.report["steps"])
    assert not list(chain.folder.glob("logs/measure-*"))


def test_stock_artifacts_open_with_plain_transformers_to_the_same_logits(chain: Run) -> None:
    folders = {name: (str(chain.artifact(name)), head) for name, head in STOCK.items()}
    answers = elsewhere(
        PLAIN_TRANSFORMERS, json.dumps(folders), json.dumps(TEXTS), absent=("compress",)
    )
    assert list(answers) == list(STOCK)
    for name, theirs in answers.items():
        for ours, others in zip(logits(chain.artifact(name)), theirs, strict=True):
            assert others == pytest.approx(ours, abs=1e-6), name


def test_an_onnx_artifact_serves_with_onnx_runtime_and_tokenizers_alone(chain: Run) -> None:
    folder = chain.artifact("quantize.onnx")
    theirs = elsewhere(
        PLAIN_ONNX, str(folder), json.dumps(TEXTS), absent=("compress", "torch", "transformers")
    )
    for ours, others in zip(logits(folder), theirs, strict=True):
        assert others == pytest.approx(ours, abs=1e-6)
    for quantized, float_ones in zip(theirs, logits(chain.artifact("free")), strict=True):
        assert quantized == pytest.approx(float_ones, abs=0.1), "int8 is near what it was made of"


def test_a_free_shape_opens_with_compress_and_not_with_plain_transformers(chain: Run) -> None:
    artifact = Artifact.open(chain.artifact("free"))
    model = open_model(artifact, task_named("text-classification"))
    assert model.bert.encoder.layer[0].attention.self.query.weight.shape == (8, 16)  # type: ignore[union-attr, index]
    assert model.bert.encoder.layer[0].intermediate.dense.weight.shape == (16, 16)  # type: ignore[union-attr, index]
    with pytest.raises(RuntimeError, match="size mismatch|ignore_mismatched_sizes"):
        AutoModelForSequenceClassification.from_pretrained(artifact.folder)


def test_a_student_and_a_slim_model_have_the_sizes_that_the_recipe_asks_for(chain: Run) -> None:
    slim = open_model(Artifact.open(chain.artifact("slim")), task_named("text-classification"))
    assert (slim.config.num_hidden_layers, slim.config.intermediate_size) == (1, 16)
    assert Artifact.open(chain.artifact("slim")).manifest.parameters == sum(
        p.numel() for p in slim.parameters()
    )


def test_load_answers_for_every_format(chain: Run) -> None:
    for name in ("distill", "free", "quantize.bitsandbytes", "quantize.onnx"):
        answers = load(chain.artifact(name))(TEXTS)
        assert [a["text"] for a in answers] == TEXTS
        for answer, row in zip(answers, logits(chain.artifact(name)), strict=True):
            shares = torch.tensor(row).softmax(0)
            assert answer["label"] == ("bad", "good")[int(shares.argmax())]
            assert answer["score"] == pytest.approx(float(shares.max()), abs=1e-3)


def test_serving_onnx_imports_neither_torch_nor_transformers(chain: Run) -> None:
    script = (
        "import sys, json, compress.api; folder, texts = sys.argv[1], json.loads(sys.argv[2])\n"
        "print(json.dumps([a['label'] for a in compress.api.load(folder)(texts)]))"
    )
    labels = elsewhere(
        script,
        str(chain.artifact("quantize.onnx")),
        json.dumps(TEXTS),
        absent=("torch", "transformers"),
    )
    assert labels == [a["label"] for a in load(chain.artifact("quantize.onnx"))(TEXTS)]


@pytest.mark.parametrize("step", ["quantize.onnx", pytest.param("distill", marks=pytest.mark.slow)])
def test_the_command_predict_answers(step: str, chain: Run, tmp_path: Path) -> None:
    process = running.start(tmp_path, "predict", str(chain.artifact(step)), *TEXTS, "--json")
    assert process.wait() == 0
    text = (tmp_path / "output").read_text()
    answers = json.loads(text[text.index("[\n") :])
    assert [a["label"] for a in answers] == [a["label"] for a in load(chain.artifact(step))(TEXTS)]


def test_the_command_verify_tells_a_changed_file(chain: Run, tmp_path: Path) -> None:
    shutil.copytree(chain.artifact("distill"), tmp_path / "copy")
    assert running.start(tmp_path, "verify", "copy").wait() == 0
    assert "4 files are as they were saved" in (tmp_path / "output").read_text()
    file = tmp_path / "copy" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert running.start(tmp_path, "verify", "copy").wait() == 5
    assert "model.safetensors has changed" in (tmp_path / "output").read_text()


def test_the_same_command_again_starts_no_worker(chain_alone: Run) -> None:
    before, events = chain_alone.jobs(), len(chain_alone.events)
    again = run(chain_alone.place, "chain.yaml", environ=UNMEASURED)
    assert again.folder == chain_alone.folder
    assert again.jobs() == before
    assert all(step["cached"] for step in again.report["steps"])
    said = again.events[events:]
    assert [e["event"] for e in said] == [
        "run_started",
        "data_summary",
        *["step_started", "step_finished"] * 7,
        "run_finished",
    ]
    assert said[-1]["time"] - said[0]["time"] < 3
