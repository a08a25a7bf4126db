"""The code that opens a PyTorch artifact of a stock shape with transformers alone, as text
for model cards."""

from __future__ import annotations

from compress.artifact import Traits
from compress.engine import Loading

_OPENED = """\
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto_class}.from_pretrained(folder).eval()
"""
_RUN = """\
batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
with torch.no_grad():
    logits = model(**batch.to(model.device)).logits.float().cpu().numpy()
labels = model.config.id2label
"""
_GENERATED = """\
batch = tokenizer(text, return_tensors="pt").to(model.device)
written = model.generate(**batch, max_new_tokens=max_new_tokens)[0]
start = 1 if model.config.is_encoder_decoder else batch["input_ids"].shape[1]
tokens = written[start:]
"""


def loading(traits: Traits, auto_class: str, generates: bool) -> Loading:
    """The packages and the code. For int8 weights transformers also needs bitsandbytes and
    accelerate, and puts them on a GPU where there is one."""
    more = ("accelerate", "bitsandbytes") if traits.precision == "int8" else ()
    torch = "" if generates else "import torch\n"
    return Loading(
        ("torch", "transformers", *more),
        f"{torch}from transformers import {auto_class}, AutoTokenizer\n",
        _OPENED.format(auto_class=auto_class) + (_GENERATED if generates else _RUN),
    )
