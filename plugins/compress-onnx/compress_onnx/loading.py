"""The code that opens an ONNX artifact with ONNX Runtime and tokenizers alone, as text for
model cards."""

from __future__ import annotations

from compress.engine import Loading

LOADING = Loading(
    packages=("onnxruntime", "tokenizers"),
    imports="""\
import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer
""",
    code="""\
tokenizer = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
tokenizer.enable_truncation(max_length)
file = next(Path(folder).rglob("*.onnx"))
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
encoding = tokenizer.encode(text)
known = {
    "input_ids": encoding.ids,
    "attention_mask": encoding.attention_mask,
    "token_type_ids": encoding.type_ids,
}
inputs = {i.name: np.array([known[i.name]], dtype=np.int64) for i in session.get_inputs()}
logits = session.run(["logits"], inputs)[0]
config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
labels = {int(i): name for i, name in config.get("id2label", {}).items()}
""",
)
