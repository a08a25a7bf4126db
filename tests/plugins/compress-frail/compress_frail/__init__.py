"""An engine that can run nothing, and the stage that converts a reference for it.

With it a test sees what a run does with an engine that fails. It reads models of the package
compress-stated."""

from __future__ import annotations

import json
import shutil
from typing import Any, ClassVar

from compress import hookimpl
from compress.artifact import Artifact, Traits
from compress.engine import Conversion, Engine, Placement, Session
from compress.errors import ModelRefused
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress.task import Task

FILE = "model.safetensors"


class Frail(Stage[Options]):
    """Writes a model again, in a format whose engine cannot run it."""

    name: ClassVar[str] = "toy.frail"
    summary: ClassVar[str] = "The model in a format whose engine cannot run it."
    accepts: ClassVar[Accepts] = Accepts(formats=("toy",))
    libraries: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def produces(cls, traits: Traits, options: Options, task: str) -> Traits:
        """A model of the format ``frail``."""
        return Traits(format="frail", trainable=False, task=task)

    def apply(self, context: Context[Options]) -> Made:
        """Write the input with a mark in its file, so that the file is another."""
        assert context.input is not None
        for name in context.input.manifest.files:
            shutil.copyfile(context.input.folder / name, context.output / name)
        file = context.output / FILE
        values = {**json.loads(file.read_text(encoding="utf-8")), "frail": True}
        file.write_text(json.dumps(values), encoding="utf-8")
        return Made()


class Broken(Engine):
    """Refuses every model."""

    name: ClassVar[str] = "broken"
    summary: ClassVar[str] = "Runs nothing."
    formats: ClassVar[tuple[str, ...]] = ("frail",)
    packages: ClassVar[tuple[str, ...]] = ()
    conversions: ClassVar[tuple[Conversion, ...]] = (Conversion("toy.frail"),)

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """Raises ModelRefused."""
        raise ModelRefused("it has an operator that is not known here")


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``toy.frail``."""
    return [Frail]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine ``broken``."""
    return [Broken]
