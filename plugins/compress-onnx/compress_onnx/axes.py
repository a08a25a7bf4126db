"""The names of the axes of a model's inputs. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

_OF_DECODER = "decoder_"
"""How transformers begins the names of a decoder's inputs."""


def axes_of(name: str, batch: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The names of the dynamic axes of the input ``name`` of ``batch``: ``batch``, then its
    length.

    The length is ``sequence``. Where a batch has inputs for a decoder too, it has two lengths,
    which do not depend on each other: ``encoder_length`` and ``decoder_length``. Further axes are
    fixed."""
    if not has_decoder(batch):
        length = "sequence"
    else:
        length = "decoder_length" if name.startswith(_OF_DECODER) else "encoder_length"
    return ("batch", length)[: batch[name].ndim]


def has_decoder(names: Iterable[str]) -> bool:
    """Whether inputs for a decoder are among the inputs."""
    return any(name.startswith(_OF_DECODER) for name in names)


def with_unequal_lengths(
    batch: Mapping[str, np.ndarray], shorter: str = "decoder_length"
) -> dict[str, np.ndarray]:
    """``batch``, of whose two lengths the one named ``shorter`` is less than the other: its arrays
    are cut. A batch with one length comes back as it is."""
    lengths = {axes_of(name, batch)[-1]: array.shape[1] for name, array in _long(batch).items()}
    if len(lengths) < 2:
        return dict(batch)
    most = max(min(lengths.values()) - 1, 1)
    return {
        name: array[:, :most] if axes_of(name, batch)[-1] == shorter and array.ndim > 1 else array
        for name, array in batch.items()
    }


def _long(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in batch.items() if array.ndim > 1}
