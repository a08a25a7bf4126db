"""Check that a run of the quickstart keeps the project's promises. ``.ci/run`` does it after ``make
quickstart``.

  learning   the teacher is right at least 30 points more often than the most frequent class is
  budget     the last model meets each limit of the recipe's budget: quality kept, times faster,
             times smaller
  time       making and measuring take 6 minutes; here they may take 12

  python benchmarks/quickstart.py RUN [RUN ...]
RUN is a run's folder; of several the newest counts. Prints a line for each promise, and ends with 1
where one is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from compress.quantities import MEDIAN_SPEEDUP, QUALITY
from compress.report.reading import read_report
from compress.results.against import Against
from compress.results.outcomes import Verdict
from compress.results.report import Report, Seconds

_FACTOR = re.compile(r"[\d.]+")

POINTS = 0.30
MINUTES = 6.0
MOST_MINUTES = 12.0
"""The promise is of two cores that do nothing else. A shared machine of continuous integration may
take twice as long with nothing wrong; more than that is a change for the worse."""


def main() -> None:
    """Check the newest of the runs that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    runs = parser.parse_args().runs
    newest = max(runs, key=lambda run: (run / "report.json").stat().st_mtime_ns)
    kept = promises(read_report(newest))
    for text, good in kept.items():
        sys.stdout.write(f"{'kept' if good else 'BROKEN'}: {text}\n")
    sys.exit(0 if all(kept.values()) else 1)


def promises(report: Report) -> dict[str, bool]:
    """Each promise in words, and whether the run keeps it."""
    return {
        f"the run is {report.state}": report.state == "finished",
        **_learning(report),
        **_budget(report),
        **_time(report.seconds),
    }


def _learning(report: Report) -> dict[str, bool]:
    teacher = next(step for step in report.steps if step.name == report.reference)
    quality = teacher.measurements[QUALITY]
    supports = [row["support"] or 0.0 for row in quality.tables["by class"].values()]
    majority, accuracy = max(supports) / sum(supports), quality.value or 0.0
    text = f"accuracy of {teacher.name} {accuracy:.3f}, of the most frequent class {majority:.3f}"
    return {text: accuracy >= majority + POINTS}


def _budget(report: Report) -> dict[str, bool]:
    last = report.steps[-1]
    verdicts = report.budget.verdicts[last.name] if report.budget else ()
    return {
        f"{v.quantity} of {last.name} {v.measured} ({v.limit})": bool(v.met)
        or _may_be_met(v, last.against_reference)
        for v in verdicts
    }


def _may_be_met(verdict: Verdict, against: Against | None) -> bool:
    """Whether a ratio of speeds is missed by its value alone: a quick run takes five rounds, and
    its interval is wide."""
    ratio = against.comparisons.get(MEDIAN_SPEEDUP) if against else None
    if verdict.quantity != "latency" or ratio is None or ratio.high is None:
        return False
    return ratio.high >= float(_FACTOR.findall(verdict.limit)[0])


def _time(seconds: Seconds) -> dict[str, bool]:
    minutes = (seconds.making + seconds.measuring) / 60
    text = f"{minutes:.1f} minutes ({MINUTES:.0f} on two free cores, {MOST_MINUTES:.0f} at most)"
    return {text: minutes <= MOST_MINUTES}


if __name__ == "__main__":
    main()
