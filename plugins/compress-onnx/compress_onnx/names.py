"""Names of files and of libraries, for all modules of the plugin."""

from __future__ import annotations

from compress.exportable import WHOLE

FOLDER = "onnx"
INT8_ENDING = "_quantized"
MERGED = "decoder_model_merged"
"""The name of the decoder of a model with an encoder, where other tools look for it."""
FLOAT_FILE = f"{FOLDER}/{WHOLE}.onnx"
INT8_FILE = f"{FOLDER}/{WHOLE}{INT8_ENDING}.onnx"
"""Where other tools look for a model and for its int8 form."""
LIBRARIES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
"""Distributions whose versions shape what the stages make."""
