"""The stage ``toy.choose``: measures two candidates and keeps one of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from safetensors.numpy import load_file, save_file

from compress.artifact import Artifact
from compress.measurement import Measured
from compress.options import Options
from compress.stage import Candidate, Context, Made, Stage

WEIGHTS = "model.safetensors"


class Choose(Stage[Options]):
    """Keeps the smaller of two candidates: the model as it is, and the model in 16 bits."""

    name: ClassVar[str] = "toy.choose"
    summary: ClassVar[str] = "Keeps the smaller of the model and the model in 16 bits, as measured."
    libraries: ClassVar[tuple[str, ...]] = ()

    def apply(self, context: Context[Options]) -> Made:
        """Write the smaller candidate. The notes hold the choice and what was measured."""
        assert context.input is not None
        half = Candidate(context.work / "float16")
        write_candidate(context.input, half.folder, "float16")
        candidates = {"float32": Candidate(context.input.folder), "float16": half}
        measured = context.measure(candidates, "test")
        sizes = {dtype: size_of(of) for dtype, of in measured.items()}
        best = min(sizes, key=lambda dtype: sizes[dtype])
        shutil.copytree(candidates[best].folder, context.output, dirs_exist_ok=True)
        compared = measured["float16"]
        speedup = compared.comparisons["float32"]["speedup"].value
        rows = compared.measurements["quality"].n
        return Made(notes={"best": best, "sizes": sizes, "speedup": speedup, "rows": rows})


def size_of(measured: Measured) -> float:
    """The measured size in bytes."""
    size = measured.measurements["size"].value
    assert size is not None
    return size


def write_candidate(model: Artifact, folder: Path, dtype: str) -> None:
    """Write the model into the new ``folder`` with weights of ``dtype``."""
    folder.mkdir()
    for name in model.manifest.files:
        shutil.copyfile(model.folder / name, folder / name)
    weights = {name: w.astype(dtype) for name, w in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
