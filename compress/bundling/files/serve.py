"""Serves the model in this folder over HTTP. It needs what requirements-serve.txt lists.

    python serve.py --port 8000
    curl localhost:8000/predict -d '{"texts": ["A text."]}'

``POST /predict`` answers texts, ``GET /health`` says whether it does, and ``GET /metrics`` counts,
as Prometheus reads it. What is too large, too slow, too much or broken gets an error in JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from fastapi import FastAPI, Request, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

HERE = Path(__file__).parent


class Served(Protocol):
    """A model to serve. ``question`` reads a request, and raises ValueError for one that cannot be
    answered; its result has a ``length``. ``answers`` runs in another thread than ``question``."""

    name: str
    task: str
    batch_size: int

    def question(self, request: Any) -> Any: ...

    def answers(self, questions: Sequence[Any]) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Limits:
    """What a server takes: bytes of a request's body, texts of a request, characters of a text,
    texts that wait, connections, and seconds that a client may need to send a request."""

    body: int = 1_000_000
    texts: int = 64
    characters: int = 20_000
    queue: int = 256
    connections: int = 512
    seconds: float = 10.0


class Refused(Exception):
    """A request that gets an error, with its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Waiting:
    """A question whose answer somebody awaits."""

    question: Any
    answer: asyncio.Future[dict[str, Any]]


@dataclass
class Counts:
    """What ``/metrics`` tells."""

    requests: Counter[int] = field(default_factory=Counter)
    texts: int = 0
    batches: int = 0
    seconds: float = 0.0

    def text(self, waiting: int) -> str:
        """In the format of Prometheus, version 0.0.4."""
        lines = ["# TYPE compress_requests_total counter"]
        for status, count in sorted(self.requests.items()):
            lines.append(f'compress_requests_total{{status="{status}"}} {count}')
        for name, kind, value in (
            ("texts_total", "counter", self.texts),
            ("batches_total", "counter", self.batches),
            ("request_seconds_total", "counter", f"{self.seconds:.6f}"),
            ("texts_waiting", "gauge", waiting),
        ):
            lines += [f"# TYPE compress_{name} {kind}", f"compress_{name} {value}"]
        return "\n".join(lines) + "\n"


class Desk:
    """Answers questions in batches of near-equal length. One thread reads requests, another runs
    the model, so the server goes on hearing its clients."""

    def __init__(self, model: Served, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self.counts, self.taken, self.is_open = Counts(), 0, True
        self._waiting: list[Waiting] = []
        self._some = asyncio.Event()
        self._reader, self._runner = ThreadPoolExecutor(1), ThreadPoolExecutor(1)

    async def ask(self, requests: Sequence[Any]) -> list[dict[str, Any]]:
        """The answers, in order. Raises Refused where too many texts wait, or for a text that
        cannot be answered."""
        if self.taken + len(requests) > self.limits.queue:
            raise Refused(503, f"{self.taken} texts wait already: try again in a second")
        self.taken += len(requests)
        try:
            loop = asyncio.get_running_loop()
            questions = await loop.run_in_executor(self._reader, self._read, requests)
            waiting = [Waiting(question, loop.create_future()) for question in questions]
            self._waiting += waiting
            self._some.set()
            return await asyncio.gather(*(one.answer for one in waiting))
        finally:
            self.taken -= len(requests)

    def _read(self, requests: Sequence[Any]) -> list[Any]:
        questions = []
        for number, request in enumerate(requests, start=1):
            try:
                questions.append(self.model.question(request))
            except ValueError as error:
                raise Refused(400, f"text {number}: {error}") from error
        return questions

    async def work(self) -> None:
        """Answer what waits, until the task is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            batch = self._next()
            try:
                questions = [one.question for one in batch]
                answers = await loop.run_in_executor(self._runner, self.model.answers, questions)
            except Exception as error:  # a model raises anything; the server goes on
                sys.stderr.write(f"error: {type(error).__name__}: {error}\n")
                for one in batch:
                    _settle(one.answer, Refused(500, "the model could not answer"))
                continue
            self.counts.batches += 1
            self.counts.texts += len(batch)
            for one, answer in zip(batch, answers, strict=True):
                _settle(one.answer, answer)

    def _next(self) -> list[Waiting]:
        """The question that waits longest, with those that are nearest to it in length."""
        self._waiting = [one for one in self._waiting if not one.answer.cancelled()]
        if self._waiting:
            length = self._waiting[0].question.length
            # The first comes first: it has no distance, and the sort is stable.
            near = sorted(self._waiting, key=lambda one: abs(one.question.length - length))
            batch = near[: self.model.batch_size]
            chosen = set(map(id, batch))
            self._waiting = [one for one in self._waiting if id(one) not in chosen]
        else:
            batch = []
        if not self._waiting:
            self._some.clear()
        return batch


def _settle(future: asyncio.Future[dict[str, Any]], result: dict[str, Any] | Refused) -> None:
    if future.done():  # its client has gone
        return
    if isinstance(result, Refused):
        future.set_exception(result)
    else:
        future.set_result(result)


def make_app(model: Served, limits: Limits) -> FastAPI:
    """The application that serves a model."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.desk = desk = Desk(model, limits)
        work = asyncio.create_task(desk.work())
        yield
        desk.is_open = False
        work.cancel()

    app = FastAPI(title=model.name, lifespan=life, openapi_url=None)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        desk: Desk = app.state.desk
        began = time.monotonic()
        content: dict[str, Any]
        try:
            texts = _texts(await _body(request, limits), limits)
            status, content = 200, {"answers": await desk.ask(texts)}
        except Refused as refused:
            status, content = refused.status, {"error": str(refused)}
        desk.counts.requests[status] += 1
        desk.counts.seconds += time.monotonic() - began
        return _as_json(status, content)

    @app.get("/health")
    async def health() -> Response:
        is_open = app.state.desk.is_open
        told = {"status": "ok" if is_open else "stopping", "name": model.name, "task": model.task}
        return _as_json(200 if is_open else 503, told)

    @app.get("/metrics")
    async def metrics() -> Response:
        desk: Desk = app.state.desk
        return Response(desk.counts.text(desk.taken), media_type="text/plain; version=0.0.4")

    return app


def _as_json(status: int, content: Any) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else {}
    if status in (408, 413):  # the rest of the body is not read
        headers["Connection"] = "close"
    text = json.dumps(content, ensure_ascii=False)
    return Response(text.encode(), status, headers, media_type="application/json")


async def _body(request: Request, limits: Limits) -> bytes:
    """The body of a request. Raises Refused for one that is too large or comes too slowly."""
    too_large = Refused(413, f"a request has at most {limits.body} bytes")
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limits.body:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body:
                    raise too_large
    except TimeoutError:
        raise Refused(408, f"the request did not come within {limits.seconds:g} s") from None
    return bytes(body)


def _texts(body: bytes, limits: Limits) -> list[Any]:
    """The requests in a body. Raises Refused for anything else than ``{"texts": [...]}``."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if (
        not isinstance(given, dict)
        or set(given) != {"texts"}
        or not isinstance(given["texts"], list)
    ):
        raise Refused(400, 'the body is not {"texts": [...]}')
    texts: list[Any] = given["texts"]
    if len(texts) > limits.texts:
        raise Refused(413, f"a request has at most {limits.texts} texts, got {len(texts)}")
    for number, request in enumerate(texts, start=1):
        if _characters(request) > limits.characters:
            raise Refused(413, f"text {number}: at most {limits.characters} characters are taken")
    return texts


def _characters(request: Any) -> int:
    parts = request.values() if isinstance(request, dict) else request
    if isinstance(parts, str):
        return len(parts)
    if not isinstance(request, dict | list):
        return 0  # no text, as the model says
    return sum(len(part) for part in parts if isinstance(part, str))


class Patient(H11Protocol):
    """A connection whose client has some seconds to send the head of a request."""

    seconds = Limits.seconds
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.seconds, self._end)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and not self._is_answering():
            self._timer = self.loop.call_later(self.seconds, self._end)
        super().data_received(data)
        if self._is_answering() and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self) -> None:
        self._timer = None
        if not self._is_answering():
            self.transport.close()


def serve(model: Served, host: str, port: int, limits: Limits) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were taken are answered before it returns."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when it has stopped; the process is to end with code 0.
        signal.signal(number, lambda *_: None)
    patient = type("Patient", (Patient,), {"seconds": limits.seconds})
    uvicorn.run(
        make_app(model, limits),
        host=host,
        port=port,
        http=patient,
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=30,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Serve the model in this folder over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--threads", type=int, help="threads within an operation")
    for limit in fields(Limits):
        parser.add_argument(f"--{limit.name}", type=type(limit.default), default=limit.default)
    given = parser.parse_args()
    limits = Limits(*(getattr(given, limit.name) for limit in fields(Limits)))
    predict = runpy.run_path(str(HERE / "predict.py"))
    try:
        model = predict["Model"](HERE, given.threads)
    except predict["BrokenBundle"] as error:
        sys.exit(f"error: {error}")
    serve(model, given.host, given.port, limits)


if __name__ == "__main__":
    main()
