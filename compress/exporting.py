"""Export models: the one place that knows how a module of torch becomes a program of an engine.

``transformers.exporters`` does the work, and knows what each format needs. It gets the dynamic axes
explicitly: if it looks for them itself, it is slower and does not know that inputs share an axis.
"""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch.export import Dim
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from transformers import PreTrainedModel
from transformers.exporters.exporter_dynamo import DynamoExporter

from compress.architecture import Architecture
from compress.artifact import Artifact
from compress.decoders import generating_parts
from compress.errors import ModelRefused, name_and_first_line
from compress.exportable import WHOLE, Exportable, axes_of
from compress.exportchecks import checked_batches, traced_batch
from compress.models import open_model
from compress.sessions import TorchSession
from compress.sizes import architecture_of
from compress.task import Batch, Task

Trace = Callable[[nn.Module, tuple[Tensor, ...], Exportable], Any]
"""Makes a program of a module by running it once. The module takes the tensors of the inputs and
returns those of the outputs, both in the order of the Exportable."""

_REASONS: Mapping[type[Exception], str] = {
    GuardOnDataDependentSymNode: "its computation depends on numbers that only a run knows",
    UserError: "its computation is bound to one length of the text",
}


def exportables(
    model: PreTrainedModel,
    task: Task[Any],
    batch: Batch,
    architectures: Sequence[type[Architecture]],
) -> tuple[Exportable, ...]:
    """The parts of ``model`` to export for ``task``, with example inputs from ``batch``: those that
    its architecture names, else those that generate, else the whole model."""
    architecture = architecture_of(model.config.model_type, architectures)
    parts = architecture.exportables(model, task, batch) if architecture else None
    if parts is None:
        parts = generating_parts(model, batch)
    return (whole(model, batch),) if parts is None else tuple(parts)


def checked_parts(
    artifact: Artifact,
    task: Task[Any],
    architectures: Sequence[type[Architecture]],
    model: PreTrainedModel | None = None,
) -> list[tuple[Exportable, list[Batch]]]:
    """The parts of the artifact's model to export for ``task``, each with the inputs to check its
    file with. Their sizes are not those of the examples in the part.

    ``model`` is in memory, and taken in place of the artifact's: its weights were trained further.
    """
    model = open_model(artifact, task) if model is None else model
    batches = [traced_batch(task, artifact), *checked_batches(task, artifact)]
    parts, *others = [exportables(model, task, batch, architectures) for batch in batches]
    checks = [[dict(other[i].inputs) for other in others] for i in range(len(parts))]
    return list(zip(parts, checks, strict=True))


def whole(model: PreTrainedModel, batch: Batch) -> Exportable:
    """``model`` as one part. Its inputs are the entries of ``batch`` that it reads, its outputs all
    floating-point ones."""
    session = TorchSession(model, model.device.type)
    inputs = {name: array for name, array in batch.items() if name in session.inputs}
    axes = {name: axes_of(name, inputs) for name in inputs}
    outputs = tuple(session.run(inputs))
    return Exportable(WHOLE, model, inputs, axes, outputs, session.switches)


def export(part: Exportable, exporter: type[DynamoExporter], trace: Trace, **settings: Any) -> Any:
    """The program of ``part`` in the format of ``exporter``, whose config takes ``settings``. Of a
    part that is to be traced, the program is made by ``trace``.

    It may have more outputs than those of ``part``, and only a traced one has their order. Raises
    ModelRefused for a part that cannot be exported."""
    try:
        with quiet():
            if part.traced:
                return trace(_Positional(part).eval(), tuple(_tensors(part).values()), part)
            shapes = _nested({name: _dynamic(part, name) for name in part.inputs})
            config = exporter.config_class(dynamic=True, dynamic_shapes=shapes, **settings)
            inputs = {**_nested(_tensors(part)), **part.switches}
            module: Any = part.module  # its types say a model; parts of models work as well
            if inputs.keys() != part.inputs.keys() | part.switches.keys():
                module = _Flattening(module).eval()
            return exporter().export(module, inputs, config).program
    except (MemoryError, OSError):  # this machine's trouble, not the model's
        raise
    except Exception as error:  # an exporter raises whatever the model's code meets
        traceback.print_exc()
        raise ModelRefused(_refusal(part, exporter, error)) from error


class PartSession:
    """A session over a part in memory: what its file is compared with."""

    def __init__(self, part: Exportable) -> None:
        self._part = part
        self.inputs = tuple(part.inputs)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the part by name, float32."""
        device = _device(self._part.module)
        tensors = {n: torch.as_tensor(batch[n], device=device) for n in self.inputs}
        with torch.inference_mode():
            outputs = self._part.module(**tensors, **self._part.switches)
        return {name: outputs[name].float().cpu().numpy() for name in self._part.outputs}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what exporters and quantizers print on each run; their errors are exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Positional(nn.Module):
    """A part whose inputs and outputs are positional, for tracers, which know no names."""

    def __init__(self, part: Exportable) -> None:
        super().__init__()
        self.module = part.module
        self._part = part

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = dict(zip(self._part.inputs, tensors, strict=True))
        outputs = self.module(**inputs, **self._part.switches)
        return tuple(outputs[name] for name in self._part.outputs)


class _Flattening(nn.Module):
    """A module whose arguments are nested: an exporter takes no name with dots for an argument, and
    names those within another by their path."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.config = module, module.config

    def forward(self, **inputs: Any) -> Any:
        return self.module(**_flat(inputs))


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` by the parts of their names: ``a.b`` is ``b`` in ``a``."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        place = made
        for word in path:
            place = place.setdefault(word, {})
        place[last] = value
    return made


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The values that ``_nested`` made of a mapping, by their whole names."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        within = isinstance(value, dict)
        made |= _flat(value, f"{path}{name}.") if within else {path + name: value}
    return made


def _tensors(part: Exportable) -> dict[str, Tensor]:
    device = _device(part.module)
    return {name: torch.as_tensor(array, device=device) for name, array in part.inputs.items()}


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _dynamic(part: Exportable, name: str) -> dict[int, Any]:
    """What the exporter may assume of each axis. The batch has any size. Of a length it finds the
    bounds itself: many families are captured for three tokens or more."""
    return {
        place: Dim(axis) if axis == "batch_size" else Dim.DYNAMIC
        for place, axis in part.named_axes(name).items()
    }


def called(part: Exportable) -> str:
    """A part in words, such as "a bert model", for messages."""
    config = getattr(part.module, "config", None)
    kind = getattr(config, "model_type", type(part.module).__name__)
    return f"a {kind} model" if part.name == WHOLE else f"the part {part.name!r} of a {kind} model"


def _refusal(part: Exportable, exporter: type[DynamoExporter], error: Exception) -> str:
    reason = "the exporter fails on it"
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            reason = text
    return (
        f"{called(part)} cannot be exported to {exporter.export_format}: {reason} "
        f"({name_and_first_line(error)[:200]}; the log has the rest)"
    )
