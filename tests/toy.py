"""A plugin whose stage needs no torch, so that a run of it takes a second: for what happens around
stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SOURCE = """
import ctypes, os, shutil, signal, time
from pathlib import Path
from pydantic import Field
from safetensors.numpy import load_file, save_file
from compress import hookimpl
from compress.errors import CompressError
from compress.options import ArtifactReference, Options
from compress.stage import Made, Stage

class NudgeOptions(Options):
    by: float = Field(default=1.0, description="What is added to every weight.")
    seconds: float = Field(default=0.0, description="How long it takes.")
    switch: str = Field(default="", description="A file in which stands how to fail.")
    beside: ArtifactReference | None = Field(default=None, description="A model that is looked at.")

class Nudge(Stage):
    name = "toy.nudge"
    summary = "Adds a number to every weight."
    Options = NudgeOptions
    libraries = ()

    def apply(self, context):
        options, folder = context.options, context.input.folder
        for second in range(int(options.seconds * 10)):
            context.progress(second, options.seconds * 10)
            time.sleep(0.1)
        fail(Path(options.switch))
        for name in context.input.manifest.files:
            shutil.copyfile(folder / name, context.output / name)
        weights = load_file(folder / "model.safetensors")
        save_file({n: w + options.by for n, w in weights.items()}, context.output / "model.safetensors", {"format": "pt"})
        return Made()

def fail(switch):
    how = switch.read_text() if switch.is_file() else ""
    if how == "error":
        raise CompressError("the switch is on")
    if how == "bug":
        raise ZeroDivisionError("the switch is on")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "left":
        os._exit(7)
    if how == "deaf":
        switch.unlink()
        ctypes.PyDLL(None).sleep(60)  # keeps the interpreter's lock, so that no other thread runs meanwhile

class Choose(Stage):
    name = "toy.choose"
    summary = "Keeps the smaller of the model as it is and the model in 16 bits, as measured."
    libraries = ()

    def apply(self, context):
        folders = {dtype: context.work / dtype for dtype in ("float32", "float16")}
        for dtype, folder in folders.items():
            folder.mkdir()
            for name in context.input.manifest.files:
                shutil.copyfile(context.input.folder / name, folder / name)
            weights = load_file(folder / "model.safetensors")
            save_file({n: w.astype(dtype) for n, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})
        found = context.measure(folders, Made())
        sizes = {dtype: measured.measurements["size"].value for dtype, measured in found.items()}
        best = min(sizes, key=sizes.get)
        for name in context.input.manifest.files:
            shutil.copyfile(folders[best] / name, context.output / name)
        speedup = found["float16"].comparisons["float32"]["speedup"]
        quality = found["float16"].measurements["quality"]
        return Made(notes={"best": best, "sizes": sizes, "speedup": speedup.value, "rows": quality.n})

@hookimpl
def compress_stages():
    return [Nudge, Choose]
"""


def install_toy(folder: Path, without: str = "meters,onnx") -> Mapping[str, str]:
    """The environment in which the plugin is installed: a distribution in ``folder``. Plugins
    ``without`` are left out."""
    (folder / "compress_toy.py").write_text(SOURCE, encoding="utf-8")
    described = folder / "compress_toy-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: compress-toy\nVersion: 1.0\n", encoding="utf-8"
    )
    (described / "entry_points.txt").write_text(
        "[compress]\ntoy = compress_toy\n", encoding="utf-8"
    )
    return {"PYTHONPATH": str(folder), "COMPRESS_DISABLE_PLUGINS": without}
