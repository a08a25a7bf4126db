"""What a TensorBoard of a run shows, read back by TensorBoard's own reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compress_tensorboard import TensorBoard
from compress_tensorboard.summary import table

reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def measured(
    value: float | None, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    return {
        "value": value,
        "unit": "ms",
        "low": low,
        "high": high,
        "absent": "" if value is not None else "no | GPU",
    }


REPORT = {
    "state": "finished",
    "recipe": "task: ner\nstages: []\n",
    "steps": [
        {
            "name": "model",
            "measurements": {"latency_p50": measured(4.25, 4.0, 4.5), "memory_gpu": measured(None)},
            "against_reference": None,
            "against_fastest": None,
        },
        {
            "name": "distill",
            "measurements": {"latency_p50": measured(1.5)},
            "against_reference": {
                "name": "model",
                "comparisons": {"lag": measured(-2.75, -3.0, -2.5), "flips": measured(None)},
            },
            "against_fastest": None,
        },
    ],
}
VALUES = [(1, 2.0, 10.0), (2, 2.0, 11.0), (9, 0.5, 12.0)]
"""(optimizer step, loss, second): the second event repeats what the first told."""


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """The log of a run with one training, of which the last value came after the first two."""
    tracker = TensorBoard()
    assert (
        tracker.start(tmp_path / "run", "tiny")
        == f"tensorboard --logdir {tmp_path / 'run' / 'tensorboard'}"
    )
    tracker.event({"event": "step_started", "step": "distill", "time": 9.0})
    for done, loss, at in VALUES:
        tracker.event(
            {
                "event": "progress",
                "step": "distill",
                "done": done,
                "total": 9,
                "time": at,
                "values": {"loss": loss},
            }
        )
    tracker.finish(REPORT)
    return tmp_path / "run" / "tensorboard"


def read(folder: Path) -> Any:
    return reader.EventAccumulator(str(folder)).Reload()


def test_training_values_stand_at_their_optimizer_step_once_each(tracked: Path) -> None:
    points = [(p.step, p.value, p.wall_time) for p in read(tracked).Scalars("distill/loss")]
    assert points == [(1, 2.0, 10.0), (9, 0.5, 12.0)]


def test_measurements_are_those_of_the_report_and_what_is_absent_has_no_point(
    tracked: Path,
) -> None:
    log = read(tracked)
    assert [(p.step, p.value) for p in log.Scalars("measured/latency_p50")] == [(0, 4.25), (1, 1.5)]
    assert set(log.Tags()["scalars"]) == {
        "distill/loss",
        "measured/latency_p50",
        "measured/latency_p50.low",
        "measured/latency_p50.high",
        "vs_reference/lag",
        "vs_reference/lag.low",
        "vs_reference/lag.high",
    }
    assert [(p.step, p.value) for p in log.Scalars("measured/latency_p50.low")] == [(0, 4.0)]
    assert [(p.step, p.value) for p in log.Scalars("vs_reference/lag.high")] == [(1, -2.5)]
    assert log.SummaryMetadata("measured/latency_p50").summary_description == "0: model, 1: distill"


def test_recipe_and_table_are_texts_that_tensorboard_shows(tracked: Path) -> None:
    log = read(tracked)
    assert log.PluginTagToContent("text").keys() == {"recipe", "measurements"}
    (recipe,) = log.Tensors("recipe")
    assert recipe.tensor_proto.string_val[0].decode().startswith("    task: ner\n    stages: []")
    (shown,) = log.Tensors("measurements")
    assert shown.tensor_proto.string_val[0].decode() == table(REPORT)


def test_the_table_has_intervals_and_reasons() -> None:
    assert table(REPORT).splitlines()[2:] == [
        "| model | latency_p50 | 4.25 [4, 4.5] | ms |",
        "| model | memory_gpu | absent: no \\| GPU | ms |",
        "| distill | latency_p50 | 1.5 | ms |",
        "| distill | lag vs reference | -2.75 [-3, -2.5] | ms |",
        "| distill | flips vs reference | absent: no \\| GPU | ms |",
    ]


def test_a_run_that_goes_on_adds_to_its_log(tracked: Path) -> None:
    again = TensorBoard()
    again.start(tracked.parent, "tiny")
    again.event(
        {
            "event": "progress",
            "step": "distill",
            "done": 20,
            "total": 20,
            "time": 20.0,
            "values": {"loss": 0.25},
        }
    )
    again.finish({**REPORT, "steps": []})
    assert [p.step for p in read(tracked).Scalars("distill/loss")] == [1, 9, 20]


def test_writing_needs_neither_torch_nor_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from compress_tensorboard.events import EventFile\n"
        f"e = EventFile(pathlib.Path({str(tmp_path)!r})); e.scalar('a', 1.0, 1); e.close()\n"
        "sys.exit(bool({'torch', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert [p.value for p in read(tmp_path).Scalars("a")] == [1.0]
