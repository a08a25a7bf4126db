"""What is exported: a module of torch with the names of its inputs, of their axes and of its
outputs. No torch.

Every stage that makes files for an engine takes the same ``Exportable``s. By default a model is
one. An architecture may give several, such as an encoder and the step of a decoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

WHOLE = "model"
"""The name of an Exportable that is a whole model."""
_OF_DECODER = "decoder_"
"""How transformers begins the names of a decoder's inputs."""


@dataclass(frozen=True)
class Exportable:
    """A part of a model that becomes one file.

    ``module`` takes ``inputs`` as keyword arguments, with ``switches`` beside them, and returns a
    mapping of names to tensors. ``outputs`` are the names that the file keeps, in order.

    ``inputs`` are example arrays by name. An export looks at their shapes alone. ``axes`` names the
    axes of each input from the first on: axes of one name have one size, which is any. An axis that
    is None or not named has the size of the example. Every named axis of an example must be longer
    than 1, and axes of other names of other lengths: an exporter takes a length of 1 for a
    constant, and equal lengths for one.

    By default the module's code is captured with all its branches (``torch.export``). With
    ``traced`` it is run once instead, and what it computed is recorded. This is for a module that
    cannot be captured, such as an LSTM. Nothing in it may depend on the values of its inputs."""

    name: str
    module: nn.Module
    inputs: Mapping[str, np.ndarray]
    axes: Mapping[str, tuple[str | None, ...]]
    outputs: tuple[str, ...]
    switches: Mapping[str, bool] = field(default_factory=dict)
    traced: bool = False

    def named_axes(self, name: str) -> dict[int, str]:
        """The names of the axes of the input ``name`` that have one, by their places."""
        return {place: axis for place, axis in enumerate(self.axes[name]) if axis is not None}


def axes_of(name: str, batch: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The names of the axes of the input ``name`` of a whole model's ``batch``: ``batch_size``,
    then its length.

    The length is ``sequence_length``. Where a batch has inputs for a decoder too, it has two
    lengths, which do not depend on each other: ``encoder_sequence_length`` and
    ``decoder_sequence_length``. Further axes have no name."""
    if not has_decoder(batch):
        length = "sequence_length"
    elif name.startswith(_OF_DECODER):
        length = "decoder_sequence_length"
    else:
        length = "encoder_sequence_length"
    return ("batch_size", length)[: batch[name].ndim]


def has_decoder(names: Iterable[str]) -> bool:
    """Whether inputs for a decoder are among the inputs."""
    return any(name.startswith(_OF_DECODER) for name in names)


def with_unequal_lengths(
    batch: Mapping[str, np.ndarray], shorter: str = "decoder_sequence_length"
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
