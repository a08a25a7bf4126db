"""The processes of decoding.py: one makes the models, each other one opens a model and writes.

python benchmarks/decoding_writer.py make FOLDER LAYERS
python benchmarks/decoding_writer.py write FOLDER ENGINE
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from compress.engine import Placement
from compress.generation import Limits, OnToken
from compress.machine import threads as usable
from compress.session import GeneratingSession

PROMPT, NEW, TEXTS = 32, 64, 3
"""Tokens of a prompt, tokens that follow it, and timed texts."""


def make(folder: Path, layers: int) -> dict[str, Any]:
    """A model with random weights as a PyTorch folder, and as float and int8 ONNX files."""
    # First: it switches ONNX Runtime's telemetry off.
    from compress_onnx.session import OnnxSession  # noqa: F401, I001

    import onnx_ir
    import torch
    from compress_onnx import FLOAT_FILE, INT8_FILE, QuantizeOptions
    from compress_onnx.exporting import export_graph
    from compress_onnx.graph import write_graph
    from compress_onnx.rewriting import quantize_graph
    from transformers import GPT2Config, GPT2LMHeadModel

    from compress.decoders import generating_parts

    torch.manual_seed(0)
    # No token ends a text, so that all have one length.
    model = GPT2LMHeadModel(GPT2Config(n_layer=layers, eos_token_id=None)).eval()
    for name in ("torch", "onnxruntime", "onnxruntime-int8"):
        model.config.save_pretrained(folder / name)
    model.save_pretrained(folder / "torch")
    (part,) = generating_parts(model, prompt(7, rows=2)) or ()
    file = folder / "onnxruntime" / FLOAT_FILE
    write_graph(export_graph(part), file)
    options = QuantizeOptions()
    graph = quantize_graph(
        onnx_ir.load(file),
        per_channel=options.per_channel,
        reduce_range=options.reduces_range(),
    )
    write_graph(graph, folder / "onnxruntime-int8" / INT8_FILE)
    return {}


def write(folder: Path, engine: str) -> dict[str, Any]:
    """Milliseconds of the first token and of each further one, and the tokens of a text."""
    session = opened(folder / engine, engine)
    limits = Limits(max_new_tokens=NEW)
    session.generate(prompt(PROMPT), Limits(max_new_tokens=4))
    first, further, tokens = [], [], list[int]()
    for _ in range(TEXTS):
        seen: list[tuple[float, int]] = []
        start = time.perf_counter()
        session.generate(prompt(PROMPT), limits, told_to(seen))
        times = [at for at, _ in seen]
        first.append(times[0] - start)
        further += np.diff(times).tolist()
        tokens = [token for _, token in seen]
    return {
        "first_token_ms": 1000 * median(first),
        "token_ms": 1000 * median(further),
        "tokens_per_second": len(further) / sum(further),
        "tokens": tokens,
    }


def told_to(seen: list[tuple[float, int]]) -> OnToken:
    """What keeps each token with its moment."""
    return lambda row, token: seen.append((time.perf_counter(), token))


def opened(folder: Path, engine: str) -> GeneratingSession:
    """A session on the model of a folder."""
    threads = usable()
    if engine == "torch":
        import torch
        from transformers import GPT2LMHeadModel

        from compress.sessions import TorchSession

        torch.set_num_threads(threads)
        return TorchSession(GPT2LMHeadModel.from_pretrained(folder), "cpu")
    from compress_onnx.opening import open_parts

    (file,) = folder.rglob("*.onnx")
    session = open_parts({"model": file}, Placement("cpu", threads), folder)
    assert isinstance(session, GeneratingSession)
    return session


def prompt(length: int, rows: int = 1) -> dict[str, np.ndarray]:
    """A text of random tokens; of several rows, the last is shorter."""
    ids = np.random.default_rng(0).integers(0, 50_000, (rows, length))
    mask = np.ones_like(ids)
    if rows > 1:
        mask[-1, length // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


if __name__ == "__main__":
    word, place, last = sys.argv[1:]
    found = make(Path(place), int(last)) if word == "make" else write(Path(place), last)
    sys.stdout.write(json.dumps(found))
