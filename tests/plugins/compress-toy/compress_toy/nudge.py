"""The stage ``toy.nudge``: a small change to every weight, or a failure that the test asks for."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field
from safetensors.numpy import load_file, save_file

from compress.artifact import Traits
from compress.errors import CompressError
from compress.options import ArtifactReference, Options
from compress.stage import Accepts, Context, Made, Stage
from compress_toy.tensors import FORMAT, WEIGHTS

FORMATS = ("pytorch", FORMAT)


class NudgeOptions(Options):
    """Options of ``toy.nudge``."""

    by: float = Field(default=1.0, description="What is added to every weight.")
    seconds: float = Field(default=0.0, description="How long the stage takes.")
    switch: str = Field(
        default="",
        description="A file that says how to fail, or to wait until it is gone; none: do neither.",
    )
    beside: ArtifactReference | None = Field(default=None, description="A model to depend on.")


class Nudge(Stage[NudgeOptions]):
    """Adds a number to every weight. Fails as the file ``switch`` says."""

    name: ClassVar[str] = "toy.nudge"
    summary: ClassVar[str] = "Adds a number to every weight."
    Options: ClassVar[type[Options]] = NudgeOptions
    accepts: ClassVar[Accepts] = Accepts(formats=FORMATS)
    references: ClassVar[Accepts] = Accepts(formats=FORMATS, task=True)
    libraries: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def produces(cls, traits: Traits, options: NudgeOptions, task: str) -> Traits:
        """Tensors, which need be no whole model."""
        return replace(traits, format=FORMAT, trainable=False, task=task)

    def apply(self, context: Context[NudgeOptions]) -> Made:
        """Write the input's files, with ``by`` added to each weight."""
        assert context.input is not None
        options, folder = context.options, context.input.folder
        for tenth in range(int(options.seconds * 10)):
            context.progress(tenth, options.seconds * 10)
            time.sleep(0.1)
        for name in context.input.manifest.files:
            shutil.copyfile(folder / name, context.output / name)
        fail(Path(options.switch), context.output)
        weights = {name: w + options.by for name, w in load_file(folder / WEIGHTS).items()}
        save_file(weights, context.output / WEIGHTS, {"format": "pt"})
        return Made()


def fail(switch: Path, output: Path) -> None:
    """Fail in the way that the file ``switch`` names, or wait until it is gone; return where there
    is no such file."""
    way = switch.read_text(encoding="utf-8") if switch.is_file() else ""
    while way == "wait" and switch.is_file():
        time.sleep(0.01)
    if way == "error":
        raise CompressError("the switch is on")
    if way == "bug":
        raise ZeroDivisionError("the switch is on")
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "gone":
        shutil.rmtree(output)
    if way == "limited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        (output / "large.bin").write_bytes(bytes(200))
    if way == "left":
        os._exit(7)
    if way == "deaf":
        switch.unlink()
        # PyDLL keeps the interpreter's lock: no other thread of this process runs meanwhile.
        ctypes.PyDLL(None).sleep(60)
