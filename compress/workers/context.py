"""What a stage is given inside a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.architecture import Architecture
from compress.artifact import Artifact, Manifest
from compress.measurement import Measured
from compress.stage import Data, Made
from compress.store.store import Store
from compress.task import Task
from compress.workers.channel import WorkerLine

_PROGRESS_SECONDS = 0.2


@dataclass
class WorkerContext:
    """The context of a stage, as ``compress.stage.Context`` describes it."""

    options: Any
    seed: int
    input: Artifact | None
    fresh: Mapping[str, Any] | None
    references: Mapping[str, Artifact]
    task: Task[Any]
    architectures: Sequence[type[Architecture]]
    data: Data | None
    output: Path
    work: Path
    store: Store
    line: WorkerLine
    describe: Callable[[Path, Made], Manifest]
    _told: float = 0.0

    def progress(self, done: float, total: float, text: str = "", **values: float) -> None:
        """Tell the user how far it is; calls that come faster than the eye sees are dropped."""
        now = time.monotonic()
        if now - self._told >= _PROGRESS_SECONDS or done >= total:
            self._told = now
            self.line.send(
                {"progress": {"done": done, "total": total, "text": text, "values": values}}
            )

    def note(self, text: str) -> None:
        """Tell the user one line that stays visible."""
        self.line.send({"note": text})

    def measure(self, folders: Mapping[str, Path], made: Made) -> dict[str, Measured]:
        """Measurements of candidate models in ``folders``, each with its ratios to the first, timed
        in turns."""
        for folder in folders.values():
            self.describe(folder, made).write(folder)
        self.line.send({"question": {name: str(folder) for name, folder in folders.items()}})
        return {name: Measured.from_dict(values) for name, values in self.line.receive().items()}

    def product(
        self, kind: str, ingredients: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """The folder of a product of the store, made by ``make(folder)`` where it is not there
        yet."""

        def fill(content: Path, work: Path) -> float:
            start = time.monotonic()
            make(content)
            return time.monotonic() - start

        product, _ = self.store.make(
            kind,
            {"kind": kind, **ingredients},
            fill,
            lambda who: self.note(f"waiting for {who}, which makes the same {kind}"),
        )
        return product.folder
