"""What the supervisor and a worker send each other comes back from JSON as it was."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
import pytest

from compress.artifact import Traits
from compress.errors import (
    CompressError,
    EnvironmentFailure,
    FileTrouble,
    Mistake,
    NothingChanged,
    UsageError,
)
from compress.measurement import Measured, Measurement
from compress.store.prepared import Prepared
from compress.store.store import Store
from compress.workers import protocol
from compress.workers.encoding import decode_job, decode_message, encode
from compress.workers.failures import describe, error_of
from compress.workers.jobs import JOBS
from compress.workers.protocol import Chosen, Job, Message

TASK = Chosen("text-classification", {"max_length": 16, "kind": None})
DATA = Prepared(Path("store/data"), "d")
JOBS_SENT: list[Job] = [
    protocol.PrepareData(Chosen("csv", {"train": "a.csv"}), TASK, Path("out"), 3),
    protocol.DownloadModel("owner/model"),
    protocol.ImportModel(Path("model"), "model", "owner/model", Path("out")),
    protocol.AskFamilies(Path("out")),
    protocol.ConfigureModel({"type": "bert"}, TASK, ("bad", "good"), Path("out")),
    protocol.ApplyStage(
        stage="distill",
        step="small",
        seed=3,
        options={"epochs": 1, "student": {"layers": [0, 2]}},
        task=TASK,
        traits=Traits(shape="free"),
        store=Store(Path("store")),
        input=Path("model"),
        fresh=None,
        references={"teacher": Path("teacher")},
        data=DATA,
        output=Path("out"),
        work=Path("work"),
        earlier={"first": Measured({"size": Measurement("size", 3.0, "bytes", "lower")})},
        choices={"export.onnx": Traits("onnx", "float")},
    ),
    protocol.OpenArtifact(Path("made"), TASK, "shrink (acme 2)"),
    protocol.ProbeArtifact(
        protocol.Subject("model", Path("model"), TASK, None, ("teacher",), "teacher", 0.03), "quick"
    ),
]
MESSAGES_SENT: list[Message] = [
    protocol.Progress(1, 2.5, "epoch 1", {"loss": 0.5}),
    protocol.Note("a line\nand one more, with half of a character: \ud800"),
    protocol.MeasureCandidates({"a": Path("a")}, "validation", ("size",), "quick"),
    protocol.MeasureCandidates({"a": Path("a")}, "validation", None, "quick"),
    protocol.PredictCandidate(Path("a"), "validation"),
    protocol.MakeChoice("quantize.onnx"),
    protocol.MakeChoice("quantize.onnx", Path("cut"), Path("work")),
    protocol.CandidatePredicted([{"label": 1, "scores": [0.25, 0.75]}]),
    protocol.ChoiceMade(Path("a")),
    protocol.Predict(),
    protocol.Predicted([{"label": 1}]),
    protocol.Finished(),
    protocol.Finished(Path("cache/model")),
    protocol.Failed("wrong", "UsageError", (Mistake("a:1", "wrong", "mend it"),)),
    protocol.Meeting(Path("store"), "meeting-1"),
    protocol.Arrived(1, 2, "second", "secret", "digest", {"version": "0.1.0"}),
    *(protocol.Assigned("small", job) for job in JOBS_SENT if isinstance(job, protocol.ApplyStage)),
    protocol.Started(),
    protocol.Opened(),
    protocol.MeterPrepared(),
    protocol.Sampled({"nanoseconds": [1, 2.5, float("inf")], "peak": None}),
    protocol.LoadUsed(),
    protocol.CandidatesMeasured(
        {"a": Measured({"size": Measurement("size", 3.0, "bytes", "lower")}, {}, {"q": [{}]}, 1.5)}
    ),
    protocol.Open(),
    protocol.PrepareMeter("latency"),
    protocol.TakeSample("latency"),
    protocol.UseLoad(2),
    protocol.End(),
    protocol.Joined(1),
]


def test_every_kind_of_job_and_message_is_tried_here_and_every_job_can_be_done() -> None:
    assert {type(job) for job in JOBS_SENT} == set(get_args(Job)) == set(JOBS)
    assert {type(message) for message in MESSAGES_SENT} == set(get_args(Message))


@pytest.mark.parametrize("job", JOBS_SENT, ids=lambda job: type(job).__name__)
def test_a_job_comes_back_from_its_file_as_it_was(job: Job) -> None:
    assert decode_job(encode(job, indent=2)) == job


@pytest.mark.parametrize("message", MESSAGES_SENT, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_and_comes_back_as_it_was(message: Message) -> None:
    text = encode(message)
    assert "\n" not in text and json.loads(text)["kind"] == type(message).__name__
    assert decode_message(text) == message


def test_a_mapping_that_is_no_dict_can_be_sent() -> None:
    sent = protocol.Progress(1, 2, "", MappingProxyType({"loss": 0.5}))
    assert decode_message(encode(sent)) == protocol.Progress(1, 2, "", {"loss": 0.5})


def test_a_sample_that_json_cannot_hold_is_an_error_of_the_worker() -> None:
    with pytest.raises(TypeError, match="ndarray is not JSON serializable"):
        encode(protocol.Sampled({"values": np.zeros(2)}))


class Unknown(CompressError):
    """An error of a plugin."""


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NothingChanged("the same"), NothingChanged),
        (EnvironmentFailure("no device"), EnvironmentFailure),
        (UsageError([Mistake("a:1", "wrong", "mend it"), Mistake("", "more")]), UsageError),
        (Unknown("mine"), CompressError),
    ],
)
def test_an_error_of_a_worker_is_raised_again_as_what_it_was(
    error: CompressError, again: type[CompressError]
) -> None:
    message = decode_message(encode(describe(error)))
    assert isinstance(message, protocol.Failed)
    found = error_of(message, Path("log"))
    assert type(found) is again and str(found) == str(error)
    if isinstance(error, UsageError) and isinstance(found, UsageError):
        assert found.mistakes == error.mistakes


def test_a_bug_of_a_worker_is_named_in_a_line_with_the_log_that_has_its_traceback() -> None:
    found = error_of(describe(ZeroDivisionError("first\nsecond")), Path("a.log"))
    assert type(found) is CompressError
    assert str(found) == "ZeroDivisionError: first (traceback in a.log)"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "/a/b: No space left on device"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", 7), "7: No such file or "),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: Permission denied"),
    ],
)
def test_any_error_of_the_file_system_is_told_with_its_file_and_ends_with_3(
    error: OSError, text: str, tmp_path: Path
) -> None:
    found = error_of(describe(error, [tmp_path]), Path("a.log"))
    assert type(found) is FileTrouble and found.exit_code == 3
    assert str(found).startswith(text)


def test_an_error_of_a_library_is_a_disk_s_if_the_folder_cannot_be_written(tmp_path: Path) -> None:
    """A library's own error says only in its text that the disk is full."""
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    for error in (RuntimeError("write failed"), OSError("no number: a library's own")):
        assert describe(error, [there]).error is None
        found = describe(error, [there, gone])
        assert found.error == "FileTrouble"
        assert found.text == f"{gone}: No such file or directory"
    assert list(there.iterdir()) == []
