"""An int8 OpenVINO model by NNCF itself, with its defaults for transformers; nothing of compress is
imported here.

  python benchmarks/peers_nncf.py MODEL OUT --train FILE [--max-length 128] [--rows 300]
MODEL is a folder of transformers' for token or text classification, FILE as in bare.py.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import nncf  # noqa: E402
import openvino  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from bare import arrays, read_examples, read_tokenizer  # noqa: E402


def main() -> None:
    """Convert, quantize and write ``openvino_model.xml``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", required=True)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--rows", type=int, default=300)
    given = parser.parse_args()
    inputs, _ = read_examples(given.train)
    drawn = random.Random(0).sample(inputs, min(given.rows, len(inputs)))
    tokenizer = read_tokenizer(given.model, given.max_length)
    encodings = tokenizer.encode_batch(drawn, is_pretokenized=not isinstance(drawn[0], str))
    batches = [arrays([encoding]) for encoding in encodings]
    architecture = transformers.AutoConfig.from_pretrained(given.model).architectures[0]
    model = getattr(transformers, architecture).from_pretrained(given.model).eval()
    example = {name: torch.from_numpy(array) for name, array in batches[0].items()}
    converted = openvino.convert_model(model, example_input=example)
    quantized = nncf.quantize(
        converted,
        nncf.Dataset(batches),
        subset_size=len(batches),
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(quantized, given.out / "openvino_model.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
