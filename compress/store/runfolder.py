"""A run's folder: the recipe as run, links to the steps' artifacts, measurements, events, logs and
the report."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compress.artifact import JsonObject
from compress.planning import Plan
from compress.store.contents import contents_of
from compress.store.files import file_name, link_or_copy, remove, write_json, write_text
from compress.store.locks import held, held_if_free
from compress.store.store import key_of
from compress.store.trouble import named

_RECIPE, _OVERRIDES = "recipe.yaml", "overrides.json"


@dataclass(frozen=True)
class RunFolder:
    """The folder and the places in it."""

    root: Path

    @classmethod
    def of(cls, plan: Plan, runs: Path) -> RunFolder:
        """The folder of a plan below ``runs``.

        Equal recipes, options, data and models share a folder, so that the same command continues
        its run. Others do not, so that no run overwrites the report of another. The recipe's text
        alone would not do: two recipes in different folders may name files by the same words, and
        the files may change."""
        data = [plan.data, *(step.data for step in plan.steps)]
        key = key_of(
            {
                "recipe": plan.recipe_text,
                "overrides": list(plan.overrides),
                "data": [choice.as_dict() for choice in data if choice],
                "models": [model.source for model in plan.inputs],
                "contents": contents_of(plan),
                "options": [step.options.model_dump(mode="json") for step in plan.steps],
            }
        )
        return cls(runs / f"{plan.name}-{key[:8]}")

    def run_before(self) -> Path | None:
        """The folder of the last run of the same recipe and overrides on other data or models; None
        where there is none."""
        recipe = self.root.name.rpartition("-")[0]
        others = []
        for root in self.root.parent.glob(f"{glob.escape(recipe)}-*"):
            other = RunFolder(root)
            if other != self and other.report.is_file() and self._has_the_text_of(other):
                others.append(other)
        newest = max(others, key=lambda other: other.report.stat().st_mtime, default=None)
        return newest.root if newest else None

    def _has_the_text_of(self, other: RunFolder) -> bool:
        """Whether both have the same recipe and overrides."""
        return all(
            (other.root / name).is_file()
            and (self.root / name).read_bytes() == (other.root / name).read_bytes()
            for name in (_RECIPE, _OVERRIDES)
        )

    @property
    def report(self) -> Path:
        """``report.json``."""
        return self.root / "report.json"

    def card(self, name: str) -> Path:
        """The model card of a step."""
        return self.root / "cards" / f"{file_name(name)}.md"

    @contextmanager
    def held(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the folder: one process writes it at a time. While another holds it, the call waits,
        after ``on_wait`` was given its name."""
        with held(self.root, "run", on_wait):
            yield

    def is_held(self) -> bool:
        """Whether a process is making the run now. Where that cannot be tried, as in a folder that
        cannot be written to, it counts as one."""
        try:
            with held_if_free(self.root, "run") as is_free:
                return not is_free
        except OSError:
            return True

    def prepare(self, plan: Plan) -> None:
        """Write the recipe as it is run, and remove ``best``: what was best when this run was
        interrupted may not be so at its end."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self.root / _RECIPE, plan.recipe_text)
        write_json(self.root / _OVERRIDES, list(plan.overrides))
        remove(self.root / "best")

    def log(self, name: str) -> Path:
        """The log of a worker."""
        return self.root / "logs" / f"{file_name(name)}.log"

    def job(self, name: str) -> Path:
        """The job file of a worker."""
        return self.root / "jobs" / f"{file_name(name)}.json"

    def measuring(self, name: str) -> Path:
        """The folder for the jobs and logs of the processes that measure a step."""
        return self.root / "logs" / f"measure-{file_name(name)}"

    def event(self, values: JsonObject) -> None:
        """Append one event to ``events.jsonl``."""
        file = self.root / "events.jsonl"
        with named(file), file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dict(values)) + "\n")

    def link(self, index: int, name: str, content: Path) -> Path:
        """``steps/03-prune``: a link to the artifact, or a copy if the file system has no links."""
        return link_or_copy(self.root / "steps" / f"{index:02d}-{file_name(name)}", content)

    def link_best(self, place: Path) -> Path:
        """``best``: a link to the artifact that meets the budget best."""
        return link_or_copy(self.root / "best", place)

    def measured(self, name: str) -> Path:
        """The file with a step's measurements."""
        return self.root / "measurements" / f"{file_name(name)}.json"
