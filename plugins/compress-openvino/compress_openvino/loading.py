"""The code that opens an OpenVINO artifact with OpenVINO and tokenizers alone, as text for model
cards."""

from __future__ import annotations

from compress.engine import Loading

LOADING = Loading(
    packages=("openvino", "tokenizers"),
    imports="""\
import json
from pathlib import Path

import numpy as np
import openvino
from tokenizers import Tokenizer
""",
    code="""\
tokenizer = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
tokenizer.enable_truncation(max_length)
model = openvino.Core().compile_model(str(Path(folder, "openvino_model.xml")), "CPU")
encoding = tokenizer.encode(text)
known = {
    "input_ids": encoding.ids,
    "attention_mask": encoding.attention_mask,
    "token_type_ids": encoding.type_ids,
}
inputs = {i.any_name: np.array([known[i.any_name]], dtype=np.int64) for i in model.inputs}
logits = model(inputs)["logits"]
config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
labels = {int(i): name for i, name in config.get("id2label", {}).items()}
""",
)
