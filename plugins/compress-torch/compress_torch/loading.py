"""The code that opens a PyTorch artifact of a stock shape with transformers alone, as text
for model cards."""

from __future__ import annotations

from compress.artifact import Traits
from compress.engine import Loading


def loading(traits: Traits, auto_class: str) -> Loading:
    """The packages and the code. For int8 weights transformers also needs bitsandbytes and
    accelerate, and puts them on a GPU where there is one."""
    more = ("accelerate", "bitsandbytes") if traits.precision == "int8" else ()
    return Loading(
        ("torch", "transformers", *more),
        f"import torch\nfrom transformers import {auto_class}, AutoTokenizer\n",
        f"""\
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto_class}.from_pretrained(folder).eval()
batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
with torch.no_grad():
    logits = model(**batch.to(model.device)).logits.float().cpu().numpy()
labels = model.config.id2label
""",
    )
