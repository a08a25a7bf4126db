"""The forward pass of a BERT-base with random weights, 128 tokens, in float32 and in bf16, at batch
1 and 128: gpu.py calls it. On a machine without a GPU it takes a small model on the CPU.

The last line of output is a JSON list with a row for each: ``milliseconds`` (median), bytes
``allocated`` and ``reserved`` at torch's peak, bytes of the ``process`` that the driver counts (or
why it does not), and ``difference``: the largest difference of a logit from float32's.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import torch
from compress_meters import gpu
from transformers import BertConfig, BertForSequenceClassification

from compress.sessions import TorchSession

LENGTH = 128
BATCHES = (1, 128)
ROUNDS = 20
_WARM_UP = 3
_SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}


def main() -> None:
    """Print the rows."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    config = BertConfig(**({} if device == "cuda" else _SMALL))
    model = BertForSequenceClassification(config).eval().to(device)
    rows = []
    for batch in BATCHES:
        ids = torch.randint(5, config.vocab_size, (batch, LENGTH))
        expected = _row(model, ids, device, "fp32")
        rows += [expected, _row(model, ids, device, "bf16", expected["logits"])]
    for row in rows:
        del row["logits"]
    sys.stdout.write(json.dumps(rows) + "\n")


def _row(
    model: Any, ids: torch.Tensor, device: str, precision: str, expected: Any = None
) -> dict[str, Any]:
    """Times, memory and logits of one batch in one precision."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    session = TorchSession(model, device)
    batch = {"input_ids": ids.numpy(), "attention_mask": torch.ones_like(ids).numpy()}
    with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
        times = [_time(session, batch, device) for _ in range(_WARM_UP + ROUNDS)]
        logits = session.run(batch)["logits"]
    return {
        "batch": len(ids),
        "precision": precision,
        "device": device,
        "milliseconds": statistics.median(times[_WARM_UP:]),
        **(gpu.peaks() if device == "cuda" else {}),
        **gpu.counted_by_driver(device),
        "difference": float(abs(logits - (logits if expected is None else expected)).max()),
        "logits": logits,
    }


def _time(session: TorchSession, batch: Any, device: str) -> float:
    """Milliseconds of one call: by the GPU's own clock where there is one."""
    own = session.elapsed(batch)
    if own is not None:
        return own
    start = time.perf_counter()
    session.run(batch)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
