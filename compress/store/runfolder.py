"""A run's folder: the recipe as run, links to the steps' artifacts, measurements, events, logs and
the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.planning import Plan
from compress.store.files import file_name, link_or_copy, remove, write_json, write_text
from compress.store.locks import held
from compress.store.store import product_key


@dataclass(frozen=True)
class RunFolder:
    """The folder and the places in it."""

    root: Path

    @classmethod
    def of(cls, plan: Plan, runs: Path) -> RunFolder:
        """The folder of a plan below ``runs``: the same recipe, options, data and models lead to
        the same folder, others to another, so that a run is continued by its own command and no
        report is written over.

        Two recipes of one text name different files where these stand beside the recipe."""
        data = [d.as_dict() for d in (plan.data, *(s.data for s in plan.steps)) if d]
        key = product_key(
            {
                "recipe": plan.recipe_text,
                "overrides": list(plan.overrides),
                "data": data,
                "models": [model.source for model in plan.inputs],
                "options": [step.options.model_dump(mode="json") for step in plan.steps],
            }
        )
        return cls(runs / f"{plan.name}-{key[:8]}")

    @property
    def report(self) -> Path:
        """``report.json``."""
        return self.root / "report.json"

    def card(self, name: str) -> Path:
        """The model card of a step."""
        return self.root / "cards" / f"{file_name(name)}.md"

    @contextmanager
    def held(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """The folder, which one process writes at a time; another is waited for after ``on_wait``
        was told who it is."""
        with held(self.root, "run", on_wait):
            yield

    def prepare(self, plan: Plan) -> None:
        """Make the folder with the recipe as it is run; what was best in an earlier go may be so no
        more."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self.root / "recipe.yaml", plan.recipe_text)
        write_json(self.root / "overrides.json", list(plan.overrides))
        remove(self.root / "best")

    def log(self, name: str) -> Path:
        """The log of a worker."""
        return self.root / "logs" / f"{file_name(name)}.log"

    def job(self, name: str) -> Path:
        """The job file of a worker."""
        return self.root / "jobs" / f"{file_name(name)}.json"

    def measuring(self, name: str) -> Path:
        """Where the processes that measure a step keep their jobs and logs."""
        return self.root / "logs" / f"measure-{file_name(name)}"

    def event(self, values: Mapping[str, Any]) -> None:
        """Append one event to ``events.jsonl``."""
        with (self.root / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dict(values)) + "\n")

    def link(self, index: int, name: str, content: Path) -> Path:
        """``steps/03-prune`` as a link to the artifact, or a copy where the file system has no
        links."""
        return link_or_copy(self.root / "steps" / f"{index:02d}-{file_name(name)}", content)

    def link_best(self, place: Path) -> Path:
        """``best``: the artifact that meets the budget best."""
        return link_or_copy(self.root / "best", place)

    def measured(self, name: str) -> Path:
        """The file with a step's measurements."""
        return self.root / "measurements" / f"{file_name(name)}.json"
