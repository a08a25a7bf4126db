"""A session over all files of an ONNX artifact. Imports ONNX Runtime, and neither torch nor
transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from compress.cached import CachedSession, is_decoder
from compress.engine import Placement, Session
from compress.errors import ModelRefused, listed
from compress.exportable import WHOLE
from compress.generation import ENCODER
from compress_onnx.names import MERGED
from compress_onnx.session import OnnxSession

RUNNABLE = ({WHOLE}, {ENCODER, MERGED})
"""The names of the files that the engine knows how to run together."""


def open_parts(files: Mapping[str, Path], placement: Placement, folder: Path) -> Session:
    """A session over the ``files`` of a model by the names of its parts: the whole model, or the
    encoder and the decoder of one that generates. ``folder`` has the model's configs.

    Raises ModelRefused for other parts, and for a file that ONNX Runtime cannot load."""
    if set(files) == RUNNABLE[0]:
        whole = OnnxSession(files[WHOLE], placement)
        return CachedSession(whole, whole.shapes, folder) if is_decoder(whole.inputs) else whole
    if set(files) == RUNNABLE[1]:
        encoder = OnnxSession(files[ENCODER], placement, rests=True)
        decoder = OnnxSession(files[MERGED], placement)
        return CachedSession(decoder, decoder.shapes, folder, encoder)
    raise ModelRefused(
        f"{folder}: its ONNX files are {listed(sorted(files)) or 'none'}, and the engine runs a "
        f"{WHOLE}, or an {ENCODER} and a {MERGED}"
    )
