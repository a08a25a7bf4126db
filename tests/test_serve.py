"""The server of a bundle: what it answers, what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from bundles import BARE, onnx_artifact
from tiny import save_bert, task_named

import compress
from compress.bundling.making import make_bundle
from compress.bundling.served import ServedPredictor
from compress.bundling.settings import SERVER
from compress.registry.plugins import load_plugins

pytest.importorskip("uvicorn")

from compress.bundling.files.serve import Desk, Limits, Refused  # noqa: E402

_SERVE = """
import runpy
sys.argv = ["serve.py", "--port", sys.argv[2], "--threads", "1", "--seconds", "1"]
runpy.run_path(sys.path[0] + "/serve.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    onnx_artifact(folder / "model", task_named("text-classification"))
    return make_bundle(folder / "model", folder / "bundle", load_plugins()).folder


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A running ``serve.py`` that cannot import the toolkit."""

    def __init__(self, bundle: Path) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                BARE + _SERVE,
                str(bundle),
                str(self.port),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, self.process.communicate()[1]
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def predict(self, texts: Any) -> tuple[int, Any]:
        status, text = self.ask("POST", "/predict", json.dumps({"texts": texts}))
        return status, json.loads(text)


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    running = Server(bundle)
    yield running
    running.process.kill()
    running.process.communicate()


def test_texts_are_answered_as_the_toolkit_answers(server: Server, bundle: Path) -> None:
    texts = ["good w1", "bad", "w1 w2 w3 w4 w5", "good\tbad"]
    status, told = server.predict(texts)
    wanted = compress.load(bundle)(texts)
    assert status == 200
    assert [answer["label"] for answer in told["answers"]] == [one["label"] for one in wanted]
    assert told["answers"][3]["text_pair"] == "bad"
    assert server.predict([]) == (200, {"answers": []})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"texts": ["a"', 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'["a"]', 400, "texts"),
        (b'{"texts": "a"}', 400, "texts"),
        (b'{"texts": ["a", 5]}', 400, "text 2: got 5"),
        (b'{"texts": ["\\ud800"]}', 400, "not valid Unicode"),
        (b'{"texts": [""]}', 400, "text 1: text is empty"),
        (json.dumps({"texts": ["a"] * 10_000}).encode(), 413, "at most 64 texts, got 10000"),
        (json.dumps({"texts": ["a " * 20_000]}).encode(), 413, "at most 20000 characters"),
        (json.dumps({"texts": [["a", "b" * 30_000]]}).encode(), 413, "at most 20000 characters"),
        (b'{"texts": ["' + b"a" * 10_000_000 + b'"]}', 413, "at most 1000000 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_broken_or_too_much_gets_a_clear_answer(
    body: bytes, status: int, words: str, server: Server
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode())
        with suppress(OSError):  # the server has answered, and reads no more
            client.sendall(body)
        text = ""
        with suppress(OSError):
            response = HTTPResponse(client)
            response.begin()
            text = f"{response.status} {response.read().decode()}"
    if text or len(body) < 1_000_000:  # a reset may overtake the answer to what is not read
        assert text.startswith(f"{status} ") and words in text
    assert server.predict(["good"])[0] == 200


def test_a_slow_client_is_let_go_and_others_are_answered(server: Server) -> None:
    address = ("127.0.0.1", server.port)
    with (
        socket.create_connection(address, 30) as head,
        socket.create_connection(address, 30) as tail,
    ):
        head.sendall(b"POST /pre")
        tail.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert server.predict(["good"])[0] == 200
        assert tail.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert head.recv(65536) == b""


def test_health_and_metrics_are_told(server: Server) -> None:
    assert server.predict(["good", "bad"])[0] == 200
    status, text = server.ask("GET", "/health")
    assert (status, json.loads(text)["status"]) == (200, "ok")
    status, text = server.ask("GET", "/metrics")
    assert status == 200 and 'compress_requests_total{status="200"}' in text
    assert "compress_texts_waiting 0" in text


def test_a_server_that_is_asked_to_end_answers_what_it_has_taken(bundle: Path) -> None:
    running, told = Server(bundle), []
    asking = threading.Thread(target=lambda: told.append(running.predict(["good w1"] * 64)))
    asking.start()
    asking.join(0.02)
    running.process.send_signal(signal.SIGTERM)
    asking.join()
    stderr = running.process.communicate(timeout=60)[1]
    assert running.process.returncode == 0, stderr
    assert told[0][0] == 200 and len(told[0][1]["answers"]) == 64


def test_the_toolkit_serves_a_folder_of_any_format(tmp_path: Path) -> None:
    save_bert(tmp_path, task_named("text-classification"))
    predictor = compress.load(tmp_path)
    model, texts = ServedPredictor(predictor), ["good w1", "bad w2 w3"]
    answers = model.answers([model.question(text) for text in texts])
    assert [one["score"] for one in answers] == pytest.approx(
        [one["score"] for one in predictor(texts)], abs=1e-5
    )
    assert model.question(["good", "bad"]).row["text_pair"] == "bad"
    for request, words in (("", "it is empty"), (5, "neither a text"), (["a", 5], "neither")):
        with pytest.raises(ValueError, match=words):
            model.question(request)


class Slow:
    """A model that waits for leave, and notes its batches. A question is its length."""

    name = task = "slow"
    batch_size = 2

    def __init__(self) -> None:
        self.leave, self.batches = threading.Event(), list[list[int]]()

    def question(self, request: Any) -> Any:
        return type("Question", (), {"length": request})

    def answers(self, questions: Any) -> list[dict[str, Any]]:
        self.leave.wait(30)
        self.batches.append([one.length for one in questions])
        return [{"length": one.length} for one in questions]


def test_too_many_texts_are_refused_and_neighbours_in_length_share_a_batch() -> None:
    async def play() -> None:
        model = Slow()
        desk = Desk(model, Limits(queue=6))
        work = asyncio.create_task(desk.work())
        first = asyncio.create_task(desk.ask([5]))
        await asyncio.sleep(0.2)  # its batch has begun
        others = asyncio.create_task(desk.ask([9, 2, 8, 3]))
        await asyncio.sleep(0.2)
        with pytest.raises(Refused) as refused:
            await desk.ask([1, 1])
        assert refused.value.status == 503
        model.leave.set()
        assert await first == [{"length": 5}]
        assert await others == [{"length": n} for n in (9, 2, 8, 3)]
        assert model.batches == [[5], [9, 8], [2, 3]] and desk.taken == 0
        work.cancel()

    asyncio.run(play())


def test_the_pins_of_a_server_are_those_that_the_tests_run_with() -> None:
    constraints = (Path(__file__).parent.parent / "constraints.txt").read_text(encoding="utf-8")
    assert {f"{name}=={pin}" for name, pin in SERVER.items()} <= set(constraints.splitlines())
