"""Making three candidates, and choosing one by what the instrument says of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
import torch

from compress.artifact import Artifact
from compress.errors import NothingChanged
from compress.exportable import Exportable
from compress.exporting import checked_parts
from compress.measurement import Measured
from compress.options import Options
from compress.stage import Candidate, Context, Made
from compress_try_three import ONNX

FILE = "onnx/model.onnx"


def try_three(context: Context[Options]) -> Made:
    """Write the fastest candidate that is as good on the validation split as the model.

    Raises NothingChanged where that is the model as it is."""
    source = context.input
    assert source is not None, "a plan gives this stage an input"
    candidates = {"as it is": Candidate(source.folder), **_graphs(context, source)}
    measured = context.measure(candidates, meters=("quality", "latency"))
    figures = {name: _figures(one) for name, one in measured.items()}
    best = chosen(figures)
    if best == "as it is":
        raise NothingChanged(f"no file is faster than the model as it is: {figures}")
    shutil.copytree(candidates[best].folder, context.output, dirs_exist_ok=True)
    answers = [context.predict(candidates[name]) for name in ("as it is", best)]
    return Made(notes={"best": best, "figures": figures, "changed": _changed(*answers)})


def chosen(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The fastest of those whose quality is at least that of the first."""
    needed = next(iter(figures.values()))["quality"]
    as_good = [name for name, of in figures.items() if of["quality"] >= needed]
    return max(as_good, key=lambda name: figures[name]["speedup"])


def _figures(measured: Measured) -> dict[str, float]:
    """The quality, and how many times as fast as the first candidate it is."""
    quality = measured.measurements["quality"].value
    assert quality is not None, measured.measurements["quality"].absent
    against = measured.comparisons.get("as it is", {})
    speedup = against["speedup"].value if against else 1.0
    return {"quality": quality, "speedup": speedup or 1.0}


def _changed(first: list[dict[str, object]], second: list[dict[str, object]]) -> int:
    """How many answers differ."""
    pairs = zip(first, second, strict=True)
    return sum(one["label"] != other["label"] for one, other in pairs)


def _graphs(context: Context[Options], source: Artifact) -> dict[str, Candidate]:
    """The model as a file of ONNX, and as one that ONNX Runtime has optimised."""
    plain, optimised = (context.work / name for name in ("plain", "optimised"))
    for folder in (plain, optimised):
        shutil.rmtree(folder, ignore_errors=True)  # of a try that was killed
        (folder / FILE).parent.mkdir(parents=True)
        shutil.copyfile(source.folder / "config.json", folder / "config.json")
        context.task.processor(source.folder).save(folder)
    (part, _), *_ = checked_parts(source, context.task, context.architectures)
    _export(part, plain / FILE)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimised / FILE)
    onnxruntime.InferenceSession(plain / FILE, options, providers=["CPUExecutionProvider"])
    made = Made(parameters=source.manifest.parameters)
    return {folder.name: Candidate(folder, made, ONNX) for folder in (plain, optimised)}


def _export(part: Exportable, file: Path) -> None:
    module = _Positional(part)
    torch.onnx.export(
        module,
        tuple(torch.as_tensor(array) for array in part.inputs.values()),
        file,
        input_names=list(part.inputs),
        output_names=list(part.outputs),
        dynamic_axes={name: part.named_axes(name) for name in part.inputs},
        opset_version=17,
        dynamo=False,
    )


class _Positional(torch.nn.Module):
    """A part whose inputs and outputs are positional, for the tracer."""

    def __init__(self, part: Exportable) -> None:
        super().__init__()
        self.module, self._part = part.module, part

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs of the part, in their order."""
        outputs = self.module(**dict(zip(self._part.inputs, tensors, strict=True)))
        return tuple(outputs[name] for name in self._part.outputs)
