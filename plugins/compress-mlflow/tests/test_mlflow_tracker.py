"""What MLflow keeps of a run, read back by MLflow's own client."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from compress_mlflow import MLflow

from compress.running.tracking import Tracking

mlflow = pytest.importorskip("mlflow")

from compress_mlflow.client import allowed  # noqa: E402


def measured(
    value: float | None, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    return {
        "value": value,
        "low": low,
        "high": high,
        "unit": "ms",
        "absent": "" if value is not None else "no GPU",
    }


def step(name: str, latency: float, **options: Any) -> dict[str, Any]:
    return {
        "name": name,
        "options": options,
        "against_reference": None,
        "against_fastest": None,
        "measurements": {"latency_p50": measured(latency), "memory_gpu": measured(None)},
    }


REPORT = {
    "state": "finished",
    "task": {"name": "ner"},
    "seed": 3,
    "effort": "quick",
    "reference": "model@x",
    "steps": [
        step("model@x", 4.25),
        step("distill", 1.5, epochs=2, student={"layers": 1, "note": "n" * 9000}),
    ],
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of files that MLFLOW_TRACKING_URI names."""
    uri = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return uri


def track(folder: Path, report: dict[str, Any] = REPORT) -> MLflow:
    """A run with one training, whose second event repeats what the first told."""
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    tracker = MLflow()
    tracker.start(folder, "tiny")
    for done, loss, at in [(1, 2.0, 10.0), (2, 2.0, 11.0), (9, 0.5, 12.0)]:
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
    tracker.event({"event": "step_finished", "step": "distill"})
    tracker.finish(report)
    return tracker


def only_run(uri: str, experiment: str = "tiny") -> tuple[Any, Any]:
    """(client, the one run of an experiment)."""
    client = mlflow.MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, found


def test_training_values_stand_at_their_optimizer_step_once_each(
    tmp_path: Path, store: str
) -> None:
    track(tmp_path / "run")
    client, found = only_run(store)
    points = [
        (m.step, m.value, m.timestamp)
        for m in client.get_metric_history(found.info.run_id, "distill/loss")
    ]
    assert points == [(1, 2.0, 10_000), (9, 0.5, 12_000)]


def test_measurements_options_and_files_are_those_of_the_report(tmp_path: Path, store: str) -> None:
    track(tmp_path / "run")
    client, found = only_run(store)
    assert found.data.metrics == {
        "model_x/latency_p50": 4.25,
        "distill/latency_p50": 1.5,
        "distill/loss": 0.5,
    }
    assert found.data.params == {
        "task": "ner",
        "seed": "3",
        "effort": "quick",
        "reference": "model@x",
        "distill.epochs": "2",
        "distill.student.layers": "1",
        "distill.student.note": "n" * 500,
    }
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert [f.path for f in client.list_artifacts(found.info.run_id)] == ["report.json"]
    kept = client.download_artifacts(found.info.run_id, "report.json", str(tmp_path))
    assert json.loads(Path(kept).read_text(encoding="utf-8")) == REPORT


def test_ends_of_intervals_and_comparisons_with_the_reference_are_metrics_of_their_own(
    tmp_path: Path, store: str
) -> None:
    small = step("small@x", 1.5)
    small["measurements"]["latency_p50"] = measured(1.5, 1.25, 1.75)
    small["against_reference"] = {
        "name": "model@x",
        "changes": {},
        "comparisons": {
            "speedup": measured(3.0, 2.5, 3.5),
            "quality_difference": measured(-0.25),
            "flips": measured(None),
        },
    }
    track(tmp_path / "run", {**REPORT, "steps": [small]})
    assert only_run(store)[1].data.metrics == {
        "distill/loss": 0.5,
        "small_x/latency_p50": 1.5,
        "small_x/latency_p50.low": 1.25,
        "small_x/latency_p50.high": 1.75,
        "small_x/vs_reference/speedup": 3.0,
        "small_x/vs_reference/speedup.low": 2.5,
        "small_x/vs_reference/speedup.high": 3.5,
        "small_x/vs_reference/quality_difference": -0.25,
    }


@pytest.mark.parametrize(("state", "status"), [("failed", "FAILED"), ("interrupted", "KILLED")])
def test_a_run_that_did_not_finish_is_marked_so(
    state: str, status: str, tmp_path: Path, store: str
) -> None:
    track(tmp_path / "run", {**REPORT, "state": state})
    assert only_run(store)[1].info.status == status


def test_the_experiment_is_the_recipes_or_the_one_that_the_user_names(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    track(tmp_path / "run")
    assert only_run(store, "mine")[1].info.run_name == "run"


def test_hundreds_of_options_and_measurements_are_kept(tmp_path: Path, store: str) -> None:
    many = {f"o{i}": i for i in range(250)}
    values = {f"m{i}": measured(float(i)) for i in range(1100)}
    track(
        tmp_path / "run", {**REPORT, "steps": [{**step("s", 1.0, **many), "measurements": values}]}
    )
    found = only_run(store)[1]
    assert len(found.data.params) == 254 and found.data.metrics["s/m1099"] == 1099.0


def test_without_an_address_mlflow_skinny_logs_into_the_runs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr("compress_mlflow.client._full", lambda: False)
    track(tmp_path / "run")
    assert (
        only_run((tmp_path / "run" / "mlruns").as_uri())[1].data.metrics["distill/latency_p50"]
        == 1.5
    )


def test_names_keep_what_mlflow_takes() -> None:
    assert allowed("model@onnxruntime/latency_p50 a.b-c") == "model_onnxruntime/latency_p50 a.b-c"


def test_telemetry_is_off_and_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, compress_mlflow.client\nfrom mlflow.telemetry.utils import "
        "is_telemetry_disabled\n"
        "sys.exit(0 if is_telemetry_disabled() and 'torch' not in sys.modules else 1)"
    )
    answer = subprocess.run([sys.executable, "-c", code], env={"HOME": str(tmp_path)}, check=False)
    assert answer.returncode == 0


class Dripping(BaseHTTPRequestHandler):
    """A server whose answers come a byte at a time, each in time for a client's timeout."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with suppress(OSError):  # the client is gone
            while not self.server.over.wait(0.1):  # type: ignore[attr-defined]
                self.wfile.write(b" ")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing is shown."""


def test_a_server_that_drips_a_byte_at_a_time_does_not_hold_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.running.tracking.PATIENCE_SECONDS", 1.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.over = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    heard: list[dict[str, Any]] = []
    tracking, start = Tracking([MLflow()], heard.append), time.monotonic()
    tracking.start(tmp_path / "run", "r")
    tracking.event({"event": "step_finished"})
    tracking.finish(REPORT)
    assert time.monotonic() - start < 3
    assert ["mlflow has not answered" in e.get("text", "") for e in heard] == [True, False]
    server.over.set()  # type: ignore[attr-defined]
    server.shutdown()
