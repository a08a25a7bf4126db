"""Whether the instrument reads 1.00 where nothing differs, and finds a slowdown of 3 %: repeated,
with everything fixed.

In each repeat three processes open the same model and take turns: `model`, `again`, and `slowed`,
each of whose calls waits busily for 3 % of its own time; after every eighth round others take their
places, as in a thorough run. The numbers of repeats and rounds are fixed before; the machine's load
is recorded before each repeat. What is asked of the whole: |ratio - 1| <= 0.02 and half-width <=
2 % in every repeat of `again`, 1.00 covered in at least 17 of 20, and 1.00 excluded for `slowed` in
at least 18 of 20.

  python benchmarks/selfcheck.py [--repeats 20] [--rounds 64] [--engines torch onnxruntime]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import write_results

from compress.measure import Subject, compare
from compress.measurement import Measurement
from compress.meter import Effort, Meter, Rounds
from compress.quantities import LATENCY, SPEEDUP
from compress.registry.plugins import Registry, load_plugins
from compress.running.making import Products
from compress.selfcheck import SLOWDOWN, WITHIN, model_to_check
from compress.store.runfolder import RunFolder
from compress.store.store import open_store
from compress.workers.protocol import Chosen

SIDES = {"model": 0.0, "again": 0.0, "slowed": SLOWDOWN}
STEPS = {"torch": "01-model-to-check", "onnxruntime": "02-export.onnx"}
METER, RATIO = "latency", SPEEDUP
EFFORT: Effort = "thorough"
"""This effort measures each block in new processes. A standard run loads its models again in the
same processes."""


def main() -> None:
    """Run the repeats of each engine, print a line for each, and write
    benchmarks/results/selfcheck.json, which holds the engines that are done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--engines", nargs="+", choices=STEPS, default=list(STEPS))
    arguments = parser.parse_args()
    settings = {
        "repeats": arguments.repeats,
        "rounds": arguments.rounds,
        "slowdown": SLOWDOWN,
        "within": WITHIN,
    }
    rows_of: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as work:
        for engine in arguments.engines:
            rows_of[engine] = _repeats(engine, arguments.repeats, arguments.rounds, Path(work))
            verdicts = {name: _verdict(rows) for name, rows in rows_of.items()}
            sys.stderr.write(f"{engine}: {verdicts[engine]}\n")
            file = write_results(
                "selfcheck", {"settings": settings, "verdicts": verdicts, "repeats": rows_of}
            )
            sys.stderr.write(f"wrote {file}\n")


def _repeats(engine: str, repeats: int, rounds: int, work: Path) -> list[dict[str, Any]]:
    registry = load_plugins()
    plan, folder = model_to_check(registry, open_store(None), work / "runs", lambda event: None)
    model = folder.parent / STEPS[engine]
    run = RunFolder(work / "run")
    assert plan.data is not None
    products = Products(registry, open_store(None), run, lambda *a, **k: None)
    task, data = Chosen.of(plan.task), products.prepared(plan.data, plan.task)
    subjects = [Subject(name, model, task, data, slowdown=share) for name, share in SIDES.items()]
    rows = []
    for repeat in range(repeats):
        load = os.getloadavg()[0]
        measured = compare(
            subjects,
            _one_meter(registry, rounds),
            run.measuring(f"{engine}-{repeat}"),
            EFFORT,
            timings_only=True,
        )
        rows.append(
            {
                "load": load,
                "again": _interval(measured["again"].comparisons["model"][RATIO]),
                "slowed": _interval(measured["slowed"].comparisons["model"][RATIO]),
                "latency_p50_ms": measured["model"].measurements[LATENCY].value,
            }
        )
        sys.stderr.write(f"{engine} {repeat}: {rows[-1]}\n")
    return rows


def _one_meter(registry: Registry, rounds: int) -> Registry:
    """The registry with the latency meter alone, its number of rounds fixed."""
    entry = registry.meters[METER]

    def fixed(self: Meter, effort: Effort) -> Rounds:
        design = entry.cls().rounds(effort)
        return Rounds(rounds, rounds, block=design.block, fresh=design.fresh)

    return replace(
        registry, meters={METER: replace(entry, cls=type("Fixed", (entry.cls,), {"rounds": fixed}))}
    )


def _interval(ratio: Measurement) -> dict[str, float | None]:
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def _verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    same, slowed = [row["again"] for row in rows], [row["slowed"] for row in rows]
    return {
        "repeats": len(rows),
        "largest_error": max(abs(r["value"] - 1) for r in same),
        "largest_half_width": max((r["high"] - r["low"]) / 2 for r in same),
        "covering_one": sum(r["low"] <= 1 <= r["high"] for r in same),
        "slowed_found": sum(r["high"] < 1 for r in slowed),
        "slowed_median": sorted(r["value"] for r in slowed)[len(slowed) // 2],
    }


if __name__ == "__main__":
    main()
