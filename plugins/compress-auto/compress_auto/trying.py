"""Making the candidates, measuring them, first on some rows and then on all, and keeping the
best."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from compress.artifact import Artifact
from compress.errors import REFUSALS, CompressError, first_line, listed
from compress.measurement import Measured
from compress.stage import Candidate, Context, Made
from compress_auto.choosing import (
    Trial,
    fastest_float,
    figures_of,
    was_beaten,
    why_hopeless,
    why_lost,
    winner,
)

if TYPE_CHECKING:
    from compress_auto import AutoOptions

GIVEN = "the given model"
METERS = ("quality", "latency")


def try_all(context: Context[AutoOptions]) -> Made:
    """Write the best candidate, as ``QuantizeAuto.apply`` says."""
    trying = Trying(context)
    trying.make()
    trying.measure(context.options.rows)
    trying.drop_hopeless()
    trying.measure(None)
    trying.reopen_beaten()
    trying.measure(None)
    return trying.result()


class Trying:
    """The candidates of one step and what is known of each. ``seconds`` are those of making and of
    measuring."""

    def __init__(self, context: Context[AutoOptions]) -> None:
        assert context.input is not None and context.data is not None, "a plan gives both"
        self._context, self._share = context, context.options.share
        self._given: Artifact = context.input
        self._count = len(context.data.rows("validation"))
        self._made: dict[str, Artifact] = {}
        self._trials: dict[str, Trial] = {}
        self.seconds = {"making": 0.0, "measuring": 0.0}

    @property
    def open(self) -> list[str]:
        """The names of those that may still be the result."""
        return [trial.name for trial in self._trials.values() if trial.is_open]

    def make(self) -> None:
        """Make every candidate. One that cannot be made is dropped with the reason."""
        start = time.monotonic()
        for number, name in enumerate(self._context.choices):
            self._context.progress(number, len(self._context.choices), f"making {name}")
            try:
                artifact = self._context.choice(name)
            except REFUSALS as error:
                self._trials[name] = Trial(name, dropped=f"cannot be made: {first_line(error)}")
                continue
            self._made[name] = artifact
            self._trials[name] = Trial(name, artifact.traits.precision)
        self.seconds["making"] += time.monotonic() - start

    def measure(self, rows: int | None) -> None:
        """Measure those that are open and have answered fewer rows: on some validation rows, or on
        all (None)."""
        start = time.monotonic()
        count = self._count if rows is None else min(rows, self._count)
        names = [name for name in self.open if self._trials[name].rows < count]
        if not names:
            return
        self._context.progress(0, 1, f"{len(names)} candidates answer {count} rows")
        for name, one in self._measured(names, rows).items():
            trial = replace(self._trials[name], rows=count)
            found = figures_of(one, GIVEN)
            if isinstance(found, str):
                self._trials[name] = replace(trial, dropped=found)
            else:
                self._trials[name] = replace(trial, figures=found)
        self.seconds["measuring"] += time.monotonic() - start

    def _measured(self, names: list[str], rows: int | None) -> Mapping[str, Measured]:
        """The measurements of candidates. If one cannot be measured, all are looked at alone, and
        what fails is dropped."""
        candidates = {GIVEN: Candidate(self._given.folder)}
        candidates |= {name: Candidate(self._made[name].folder) for name in names}
        try:
            found = dict(self._context.measure(candidates, meters=METERS, rows=rows))
        except REFUSALS as error:
            if len(names) == 1:
                reason = f"cannot be measured: {first_line(error)}"
                self._trials[names[0]] = replace(self._trials[names[0]], dropped=reason)
                return {}
            working: dict[str, Measured] = {}
            for name in names:
                working |= self._measured([name], rows)
            return working
        del found[GIVEN]
        return found

    def drop_hopeless(self) -> None:
        """Drop those that cannot win any more."""
        known = list(self._trials.values())
        for trial in known:
            if trial.is_open:
                reason = why_hopeless(trial, known, self._share)
                self._trials[trial.name] = replace(trial, dropped=reason)

    def reopen_beaten(self) -> None:
        """Open those again that were dropped as slower, where nothing keeps the quality."""
        trials = list(self._trials.values())
        if winner(trials, self._share):
            return
        for trial in trials:
            if was_beaten(trial, self._share, self._count):
                self._trials[trial.name] = replace(trial, dropped="")

    def result(self) -> Made:
        """Write the winner, or the fastest float candidate where none keeps the quality."""
        trials = list(self._trials.values())
        best = winner(trials, self._share)
        kept = best is not None
        best = best or fastest_float(trials)
        if best is None:
            raise CompressError(
                f"quantize.auto: no candidate keeps {self._context.options.quality} of the "
                f"quality, and none is float: {listed([_in_words(trial) for trial in trials])}"
            )
        table = [_row(trial, best, self._share) for trial in trials]
        self._tell(best, kept, table)
        artifact = self._made[best.name]
        for name in artifact.manifest.files:
            target = self._context.output / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.folder / name, target)
        notes = {
            "chosen": best.name,
            "keeps_quality": kept,
            "tried": table,
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }
        return Made(
            parameters=artifact.manifest.parameters,
            notes=notes,
            traits=artifact.traits,
        )

    def _tell(self, best: Trial, kept: bool, table: list[dict[str, Any]]) -> None:
        quality = self._context.options.quality
        if kept:
            self._context.note(f"{best.name} is the fastest that keeps {quality} of the quality")
        else:
            self._context.note(
                f"no candidate keeps {quality} of the quality: the result is {best.name}, in float"
            )
        for row in table:
            self._context.note(_line(row))


def _row(trial: Trial, best: Trial, share: float) -> dict[str, Any]:
    """A row of the table of what was tried, JSON-ready."""
    why = trial.dropped
    if trial.name != best.name and not why:
        why = why_lost(trial, best, share)
    found = asdict(trial.figures) if trial.figures else {}
    figures = {name: value if isfinite(value) else None for name, value in found.items()}
    row = {"name": trial.name, "rows": trial.rows, **figures}
    return {**row, "dropped": "" if trial.name == best.name else why}


def _line(row: Mapping[str, Any]) -> str:
    """A row of the table in words."""
    if "kept" not in row:
        return f"{row['name']}: {row['dropped']}"
    kept = f"{100 * row['kept']:.2f} %"
    if row["kept_high"] is not None:
        kept += f" [{100 * row['kept_low']:.2f}, {100 * row['kept_high']:.2f}]"
    speed = f"{row['speedup']:.2f}x"
    if row["speedup_high"] is not None:
        speed += f" [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"
    end = f"; {row['dropped']}" if row["dropped"] else "; chosen"
    return f"{row['name']}: {kept} of the quality, {speed} on {row['rows']} rows{end}"


def _in_words(trial: Trial) -> str:
    if trial.figures is None:
        return f"{trial.name} ({trial.dropped})"
    return f"{trial.name} keeps {100 * trial.figures.kept:.2f} %"
