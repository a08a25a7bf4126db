"""Tiny ONNX artifacts that are written in no time, and processes that lack the toolkit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model
from tiny import LABELS, WORDS, word_processor

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.task import Task

BARE = """
import json, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"compress", "torch", "transformers", "onnx"}:
            raise ImportError(name + " is not here")
        if name.startswith("compress_"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Blocker())
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
"""
"""The beginning of a program that can import neither the toolkit nor PyTorch. Its first argument is
a bundle."""


def onnx_artifact(
    folder: Path,
    task: Task[Any],
    labels: Sequence[str] = LABELS,
    *,
    outputs: int | None = None,
    by_token: bool = False,
    spans: bool = False,
    precision: str = "float",
) -> Artifact:
    """An ONNX model whose logits are those of each token, drawn by its id and its type, or with
    their sum over a text; with ``spans``, those of each token are of a span's first and last."""
    (folder / "onnx").mkdir(parents=True)
    name = "model.onnx" if precision == "float" else "model_quantized.onnx"
    graph = _graph(2, "spans") if spans else _graph(outputs or len(labels), _ENDS[by_token])
    save_model(graph, folder / "onnx" / name)
    word_processor().save(folder)
    config = {"model_type": "bert", "vocab_size": len(WORDS)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    Manifest(
        Traits("onnx", precision, trainable=False, task=task.name),
        digest_files(folder),
        "tiny",
        "export.onnx",
        labels=tuple(labels),
        task_options=task.options.model_dump(mode="json"),
    ).write(folder)
    return Artifact.open(folder)


_ENDS = {True: "tokens", False: "texts"}


def _graph(outputs: int, end: str) -> Any:
    draws = np.random.default_rng(3)
    tables = {
        "words": draws.normal(size=(len(WORDS), outputs)).astype(np.float32),
        "types": draws.normal(size=(2, outputs)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["of_words"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["of_types"]),
        helper.make_node("Mul", ["of_words", "of_types"], ["of_tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["masks"]),
        helper.make_node("Mul", ["of_tokens", "masks"], ["counted"]),
    ]
    axes = {name: np.array([at]) for name, at in (("last", -1), ("first", 1))}
    places = {name: np.array(at) for name, at in (("begin", 0), ("after", 1))}
    logits = {"logits": ["batch", "length", outputs] if end == "tokens" else ["batch", outputs]}
    if end == "tokens":
        nodes.append(helper.make_node("Identity", ["counted"], ["logits"]))
    elif end == "texts":
        nodes.append(helper.make_node("ReduceSum", ["counted", "first"], ["logits"], keepdims=0))
    else:
        logits = {name: ["batch", "length"] for name in ("start_logits", "end_logits")}
        for place, name in zip(places, logits, strict=True):
            nodes.append(helper.make_node("Gather", ["counted", place], [name], axis=2))
    names = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in names],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in logits.items()],
        [numpy_helper.from_array(array, n) for n, array in {**tables, **axes, **places}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def in_bare_process(code: str, bundle: Path, *arguments: str) -> Any:
    """What a program prints as JSON that runs beside a bundle, without the toolkit."""
    ended = subprocess.run(
        [sys.executable, "-c", BARE + code, str(bundle), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
