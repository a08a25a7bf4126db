"""How an artifact is loaded with stock libraries, as Python that runs from the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEADS = {"text-classification": "AutoModelForSequenceClassification", "fill-mask": "AutoModelForMaskedLM",
          "token-classification": "AutoModelForTokenClassification"}

_TRANSFORMERS = '''\
import torch
from transformers import {head}, AutoTokenizer

folder = {folder}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {head}.from_pretrained(folder).eval()
batch = tokenizer({text}, return_tensors="pt", truncation=True, max_length={length})
with torch.no_grad():
    logits = model(**batch).logits.numpy()  # [batch, {shape}], before softmax
ids = batch["input_ids"][0].tolist()
labels = model.config.id2label
'''

_ONNX = '''\
import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path({folder})
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation({length})
session = onnxruntime.InferenceSession(next(folder.rglob("*.onnx")), providers=["CPUExecutionProvider"])
encoding = tokenizer.encode({text})
ids = encoding.ids
known = {{"input_ids": ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}}
inputs = {{i.name: np.array([known[i.name]], dtype=np.int64) for i in session.get_inputs()}}
logits = session.run(["logits"], inputs)[0]  # [batch, {shape}], before softmax
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
labels = {{int(i): name for i, name in config["id2label"].items()}}
'''

_ANSWERS = {
    "text-classification": "print({labels[i]: float(score) for i, score in enumerate(logits[0])})\n",
    "token-classification": "print([labels[int(i)] for i in logits[0].argmax(-1)])  # one for each token\n",
    "fill-mask": "print(tokenizer.decode([int(i) for i in logits[0].argmax(-1)]))  # the likeliest token at each place\n"}
_SHAPES = {"text-classification": "labels", "token-classification": "tokens, labels", "fill-mask": "tokens, vocabulary"}

_OWN = '''\
import compress

model = compress.load({folder})
print(model([{text}]))
'''

_TEXT, _MASKED = "A text to try it on.", "A text to [MASK] it on."


def loading(step: Mapping[str, Any], report: Mapping[str, Any]) -> tuple[list[str], str]:
    """(distributions to install, Python code): stock libraries where they open the artifact, else the toolkit itself."""
    task, traits = step["task"], step["traits"]
    length = int(report["task"]["options"].get("max_length", 128))
    values = {"folder": repr(step["folder"]), "text": repr(_MASKED if task == "fill-mask" else _TEXT), "length": length,
              "shape": _SHAPES.get(task, "")}
    stock = task in _HEADS and not step["needs"] and traits["shape"] == "stock"
    if stock and traits["format"] == "pytorch":
        more = ["bitsandbytes"] if traits["precision"] == "int8" else []
        return ["torch", "transformers", *more], _TRANSFORMERS.format(head=_HEADS[task], **values) + _ANSWERS[task]
    if stock and traits["format"] == "onnx":
        code = _ONNX.format(**values)
        if task == "fill-mask":
            code = code[:code.index("config = json")].replace("import json\n", "")
        return ["onnxruntime", "tokenizers"], code + _ANSWERS[task]
    return step["needs"] or ["compress-toolkit"], _OWN.format(**values)
