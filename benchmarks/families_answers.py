"""The processes of families.py that hold a model:

  python benchmarks/families_answers.py write FAMILY      save the tiny model into ./model
  python benchmarks/families_answers.py reference FOLDER  answers of AutoModel with AutoTokenizer
  python benchmarks/families_answers.py ours FOLDER       answers of compress
The last line of output is JSON: logits of each text ``alone``, and ``batched``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from families import TEXTS

Logits = list[list[float]]


def main(what: str, subject: str) -> int:
    """Do what the first word says."""
    if what == "write":
        return _write(subject)
    alone, batched = (_reference if what == "reference" else _ours)(Path(subject))
    sys.stdout.write(json.dumps({"alone": alone, "batched": batched}) + "\n")
    return 0


def _write(name: str) -> int:
    from tiny_families import FAMILIES, write_family

    (family,) = [family for family in FAMILIES if family.model_type == name]
    write_family(family, Path("model"))
    return 0


def _reference(folder: Path) -> tuple[Logits, Logits]:
    """Logits by transformers alone. A tokenizer without a padding token pads with its end token, as
    the model cards of decoders advise."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        model.config.pad_token_id = tokenizer.pad_token_id

    def logits(texts: list[str]) -> Logits:
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            rows: Logits = model(**batch).logits.tolist()
        return rows

    return [logits([text])[0] for text in TEXTS], logits(list(TEXTS))


def _ours(folder: Path) -> tuple[Logits, Logits]:
    """Logits by compress, from the session that answers texts."""
    from compress.api import load

    predictor = load(folder)
    task, processor = predictor.task, predictor.processor
    features = task.features(task.request(TEXTS), processor)

    def logits(part: list[Any]) -> Logits:
        outputs = predictor.session.run(task.collate(part, processor))
        rows: Logits = outputs["logits"].tolist()
        return rows

    return [logits([each])[0] for each in features], logits(features)


if __name__ == "__main__":
    from compress.errors import CompressError

    try:
        sys.exit(main(sys.argv[1], sys.argv[2]))
    except CompressError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
