"""The numbers of compress beside those of independent tools on the same artifact, taken in one go.

  latency     a bare loop over plain ONNX Runtime or transformers (bare.py), rounds taken in turns
              with the instrument's
  f1, accuracy  seqeval and scikit-learn on the raw file in columns
  size        du -b of every file but the manifest
  parameters  transformers' num_parameters of a float PyTorch model
  macs        a count by hand for BERT: 4 L d^2 + 2 L^2 d + 2 L d f for each layer, and the head

  python benchmarks/agreement.py FOLDER [FOLDER ...] --data RECIPE [--set key=value ...]
      [--run report.json] [--loads 8]
FOLDER is an artifact for token classification; RECIPE says where the test split is, a file in
columns. With --run, the numbers that a run's report has of the same artifacts stand in a column
beside them. Writes benchmarks/results/agreement.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from bareloop import BareLoop, bare_loop

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.measure import Subject
from compress.measure.sides import Sides
from compress.measurement import Measurement
from compress.planning import Plan, load_plan
from compress.registry.plugins import Registry, load_plugins
from compress.running.families import known_families
from compress.store.prepared import Prepared, prepare
from compress.store.store import Store
from compress.workers.protocol import Chosen

OURS = "ours"
METERS = ("size", "quality", "latency", "anatomy")


class Other(NamedTuple):
    """The measurement of compress, and the independent tool that measures the same."""

    measurement: str
    tool: str


OTHERS = {
    "f1": Other("quality", "seqeval"),
    "accuracy": Other("accuracy", "scikit-learn"),
    "size": Other("size", "du -b"),
    "parameters": Other("parameters", "transformers"),
    "macs": Other("macs", "by hand"),
    "latency": Other("latency_p50", "bare loop"),
}
"""The quantities that are compared."""


def main() -> None:
    """Measure every folder both ways, print a table and write the results."""
    given = _arguments()
    registry = load_plugins()
    plan = load_plan(given.data, given.set, registry, known_families(Store.default()))
    run = json.loads(given.run.read_text(encoding="utf-8")) if given.run else {"steps": []}
    with tempfile.TemporaryDirectory() as work:
        data = _data(plan, Path(work) / "data")
        rows: list[dict[str, Any]] = []
        for folder in given.folders:
            rows += _compared(folder, plan, data, registry, run, given)
    _print(rows)
    from common import write_results

    settings = {
        "loads": given.loads,
        "rounds": given.rounds,
        "recipe": plan.name,
        "test_examples": len(data.rows("test")),
    }
    sys.stderr.write(f"wrote {write_results('agreement', {'settings': settings, 'rows': rows})}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--data", required=True, metavar="RECIPE")
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument("--run", type=Path, metavar="report.json")
    parser.add_argument("--loads", type=int, default=8, help="how often both load the model anew")
    parser.add_argument("--rounds", type=int, default=6, help="of each load")
    return parser.parse_args()


def _data(plan: Plan, folder: Path) -> Prepared:
    if (
        plan.task.name != "token-classification"
        or plan.data is None
        or plan.data.entry.name != "conll"
    ):
        raise UsageError(
            "agreement is shown for token-classification on files in columns (source: conll)"
        )
    folder.mkdir()
    prepare(plan.data.make(), plan.task.make(), folder)
    return Prepared(folder, "")


def _compared(
    folder: Path,
    plan: Plan,
    data: Prepared,
    registry: Registry,
    run: Mapping[str, Any],
    given: argparse.Namespace,
) -> list[dict[str, Any]]:
    """One row for each quantity that both sides have."""
    artifact = Artifact.open(folder)
    ours, theirs, ratio = _measured(artifact, plan, data, registry, given)
    length = ours["macs"].conditions.get("length") if ours["macs"].value is not None else None
    theirs |= {"size": _du(artifact), "macs": _macs(artifact, length) if length else None}
    in_run = _measurements_in_run(run, artifact.digest)
    rows = []
    for quantity, other in OTHERS.items():
        own = ours[other.measurement]
        if theirs.get(quantity) is not None and own.value is not None:
            before = in_run.get(other.measurement)
            rows.append(_row(folder.name, quantity, own, theirs[quantity], before))
            if quantity == "latency":
                # Of rounds in turns: whatever the machine did meanwhile, it did to both.
                rows[-1]["ratio"] = ratio
    return rows


def _measurements_in_run(run: Mapping[str, Any], digest: str) -> Mapping[str, Any]:
    """The measurements that a run's report has of an artifact; empty where it has none."""
    for step in run["steps"]:
        if step.get("digest") == digest:
            measurements: Mapping[str, Any] = step["measurements"]
            return measurements
    return {}


def _row(
    artifact: str, quantity: str, ours: Measurement, theirs: float, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    assert ours.value is not None
    return {
        "artifact": artifact,
        "quantity": quantity,
        "unit": ours.unit,
        "compress": ours.value,
        "other": theirs,
        "tool": OTHERS[quantity].tool,
        "difference": ours.value / theirs - 1,
        "in_run": before["value"] if before else None,
    }


def _measured(
    artifact: Artifact, plan: Plan, data: Prepared, registry: Registry, given: argparse.Namespace
) -> tuple[dict[str, Measurement], dict[str, Any], dict[str, float]]:
    """The instrument's measurements, the bare script's numbers, and the ratio of their times
    (compress / bare)."""
    from common import paired_ratio

    meters = {name: registry.meters[name].cls() for name in METERS}
    samples: dict[str, list[Any]] = {name: [] for name in METERS}
    with _both(artifact, plan, data) as (side, bare):
        for name in ("size", "quality", "anatomy"):
            samples[name] = [_sample(side, name, 0)]
        theirs = bare.score()
        side.end()
    times = []
    for load in range(given.loads):
        with _both(artifact, plan, data) as (side, bare):
            side.prepare(OURS, "latency")
            places = _places(meters["latency"], len(data.rows("test")))
            bare.prepare(places)
            ours, bares = _turns(side, bare, given.rounds, load)
            samples["latency"] += ours
            times.append(np.array(bares))
            side.end()
    measurements = {
        m.name: m for name, meter in meters.items() for m in meter.summarise(samples[name])
    }
    # Nanoseconds of (loads, rounds, examples): the median over the rounds of a load, summed over
    # the examples, is one number for each load.
    own = np.array([s["nanoseconds"] for s in samples["latency"]])
    own = own.reshape(given.loads, given.rounds, -1)
    ratio = paired_ratio(_per_load(own), _per_load(np.array(times)))
    return measurements, {**theirs, "latency": float(np.median(times)) / 1e6}, ratio


def _per_load(nanoseconds: np.ndarray) -> list[float]:
    per_load: list[float] = np.median(nanoseconds, axis=1).sum(axis=1).tolist()
    return per_load


@contextmanager
def _both(artifact: Artifact, plan: Plan, data: Prepared) -> Iterator[tuple[Sides, BareLoop]]:
    """The instrument's worker and the bare script, each with the artifact loaded in a fresh
    process."""
    subject = Subject(OURS, artifact.folder, Chosen.of(plan.task), data)
    work = data.folder.parent
    assert plan.data is not None
    test = plan.data.as_dict()["options"]["test"]
    longest = plan.task.as_dict()["options"]["max_length"]
    with (
        Sides([subject], work, "standard") as side,
        bare_loop(artifact.folder, test, work / "bare.log", max_length=longest) as bare,
    ):
        yield side, bare


def _turns(side: Sides, bare: BareLoop, rounds: int, load: int) -> tuple[list[Any], list[Any]]:
    """The instrument's samples and the bare loop's nanoseconds of each round: A B A B ..., in every
    second load B A B A."""
    ours: list[Any] = []
    theirs: list[Any] = []

    def theirs_next() -> None:
        theirs.append(bare.round())

    turns = (lambda: ours.append(_sample(side, "latency", load)), theirs_next)
    for _ in range(rounds):
        for turn in turns if load % 2 == 0 else reversed(turns):
            turn()
    return ours, theirs


def _sample(side: Sides, meter: str, load: int) -> Any:
    return {**side.sample(OURS, meter), "block": load}


def _places(latency: Any, total: int) -> list[int]:
    """The places of the examples that the latency meter draws."""
    from compress_meters.conditions import places

    return places(SimpleNamespace(features=range(total), seed=0), latency.examples["standard"])  # type: ignore[arg-type]


def _du(artifact: Artifact) -> int:
    """What ``du -b`` says of the artifact's files; the manifest and the folders themselves are left
    out."""
    files = [
        str(p) for p in artifact.folder.rglob("*") if p.is_file() and p.name != "compress.json"
    ]
    done = subprocess.run(["du", "-bc", *files], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def _macs(artifact: Artifact, length: int) -> int | None:
    """Multiply-accumulates of a BERT of its config's shape with a linear head on each token, by
    hand; None for others."""
    config = json.loads((artifact.folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] != "bert" or artifact.traits.shape != "stock":
        return None
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    layer = 4 * length * hidden**2 + 2 * length**2 * hidden + 2 * length * hidden * inner
    return int(config["num_hidden_layers"] * layer + length * hidden * len(config["id2label"]))


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    headers = ["artifact", "quantity", "unit", "compress", "other", "tool", "difference"]
    table = [[*headers, "in the run"], *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["artifact"],
        row["quantity"],
        row["unit"],
        f"{row['compress']:.9g}",
        f"{row['other']:.9g}",
        row["tool"],
        _difference(row),
        "" if row["in_run"] is None else f"{row['in_run']:.9g}",
    ]


def _difference(row: Mapping[str, Any]) -> str:
    if "ratio" in row:
        value, low, high = (100 * (row["ratio"][k] - 1) for k in ("value", "low", "high"))
        return f"{value:+.2f} % ({low:+.2f} to {high:+.2f})"
    return "none" if row["difference"] == 0 else f"{100 * row['difference']:+.3g} %"


if __name__ == "__main__":
    main()
