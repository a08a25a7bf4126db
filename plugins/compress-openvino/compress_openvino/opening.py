"""A session over all files of an OpenVINO artifact. Imports OpenVINO, and neither torch nor
transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compress.cached import CachedSession, Joined, is_decoder
from compress.engine import Placement, Session
from compress.errors import ModelRefused, listed
from compress.exportable import WHOLE
from compress.generation import CROSS, DECODER, ENCODER
from compress_openvino import BEGINNING
from compress_openvino.session import OpenVinoSession


def open_parts(files: Sequence[Path], placement: Placement, folder: Path) -> Session:
    """A session over the ``files`` of a model: the whole model, or the three parts of one with an
    encoder that generates. ``folder`` has the model's configs.

    Raises ModelRefused for other parts."""
    parts = {file.stem.removeprefix(BEGINNING): file for file in files}
    if set(parts) == {WHOLE}:
        whole = OpenVinoSession(parts[WHOLE], placement)
        return CachedSession(whole, whole.shapes, folder) if is_decoder(whole.inputs) else whole
    if set(parts) == {ENCODER, CROSS, DECODER}:
        encoder, cross, decoder = (
            OpenVinoSession(parts[name], placement) for name in (ENCODER, CROSS, DECODER)
        )
        return CachedSession(Joined(decoder, cross), decoder.shapes, folder, encoder)
    raise ModelRefused(
        f"{folder}: its OpenVINO files are {listed(sorted(parts)) or 'none'}, and the engine runs "
        f"a {WHOLE}, or an {ENCODER}, a {CROSS} and a {DECODER}"
    )
