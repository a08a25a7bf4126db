"""``compress predict`` on the lines of a file or of the standard input."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from running import heed_interrupts
from tiny import save_bert, task_named

import compress
from compress.cli import cli, textlines
from compress.cli.textlines import text_lines
from compress.errors import UsageError

Predict = Callable[..., Result]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    save_bert(folder, task_named("text-classification"))
    return folder


@pytest.fixture
def predict(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """``predict(content, *words)``: the command on a file of this content, ``texts``; with
    ``input`` on the standard input alone. A mistake is the result's ``exception``."""
    monkeypatch.chdir(tmp_path)

    def call(content: bytes | None, *words: str, input: bytes | None = None) -> Result:
        given: list[str] = []
        if content is not None:
            Path("texts").write_bytes(content)
            given = ["--file", "texts"]
        return CliRunner().invoke(cli, ["predict", str(model), *given, *words], input=input)

    return call


def mistakes(result: Result) -> list[str]:
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception).splitlines()


def test_each_line_is_answered_as_an_argument_is(predict: Predict, model: Path) -> None:
    texts = ["good w1", "bad", "w3 w4\tw5"]
    content = "\ufeffgood w1\r\nbad\nw3 w4\tw5".encode()  # the last line has no end
    lines = predict(content, "--json")
    answers = [json.loads(line) for line in lines.stdout.splitlines()]
    assert answers == compress.load(model)(texts) and answers[2]["text_pair"] == "w5"
    assert json.loads(predict(None, "--json", *texts).stdout) == answers, "arguments are one list"
    assert predict(content).stdout == predict(None, *texts).stdout
    assert predict(None, "--json", input=content).stdout == lines.stdout
    assert predict(None, "--json", "--file", "-", input=content).stdout == lines.stdout
    assert predict(b"").stdout == predict(None, input=b"").stdout == ""


def test_every_line_of_a_file_that_cannot_be_read_is_named_before_any_is_answered(
    predict: Predict,
) -> None:
    result = predict(b"good\n\n\xff\xfe\nbad \xc3\n \t\n")
    assert mistakes(result) == [
        "texts:2: it is empty: each line is a text",
        "texts:3: it is not valid UTF-8 (byte 0xff at position 1)",
        "texts:4: it is not valid UTF-8 (byte 0xc3 at position 5)",
        "texts:5: it is empty: each line is a text",
    ]
    assert result.stdout == ""
    many = mistakes(predict(b"\xff\n" * 1000))
    assert len(many) == 21 and many[-1] == "texts: 980 more lines cannot be read"


def test_a_stream_is_answered_up_to_the_line_that_cannot_be_read(predict: Predict) -> None:
    result = predict(None, "--json", input=b"good\nbad\n\xff\ngood\n")
    assert len(result.stdout.splitlines()) == 2
    assert mistakes(result) == ["standard input:3: it is not valid UTF-8 (byte 0xff at position 1)"]


def test_a_line_that_the_task_refuses_is_named_by_its_place(
    tmp_path: Path, predict: Predict
) -> None:
    (tmp_path / "masks").mkdir()
    save_bert(tmp_path / "masks", task_named("fill-mask"))
    (tmp_path / "texts").write_text("good [MASK]\ngood\n", encoding="utf-8")
    words = ["predict", "masks", "--file", "texts", "--json"]
    result = CliRunner().invoke(cli, words)
    (mistake,) = mistakes(result)
    assert mistake.startswith("texts:2: 'good' has no [MASK]") and '"masks"' in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--file", "texts", "a text"), "texts are given twice, as arguments and with --file"),
        (("--file", "texts", "--pair"), "in a line, a tab separates the two"),
        (("--pair", "one", "two", "three"), "--pair takes texts two by two, got 3"),
        (("--pair",), "in a line, a tab separates the two"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    words: tuple[str, ...], said: str, predict: Predict
) -> None:
    Path("texts").write_text("good\n", encoding="utf-8")
    (mistake,) = mistakes(predict(None, *words, input=b"good\n"))
    assert said in mistake


def test_without_a_text_a_user_at_a_terminal_is_told_how_to_give_one(
    predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    runner = CliRunner()
    with runner.isolation(input=None):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Terminal()))
        with pytest.raises(UsageError, match="there is no text: give one as an argument, or"):
            cli.main(["predict", "."], standalone_mode=False)


class Endless:
    """A stream that goes on for ever without the end of a line."""

    asked = 0

    def readline(self, size: int) -> bytes:
        self.asked += size
        return b"x" * size


def test_a_line_without_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textlines, "LONGEST", 1000)
    stream: Any = Endless()
    (line,) = text_lines(stream, "big")
    assert line.place == "big:1" and "longer than 1000 bytes" in line.problem
    assert stream.asked == 1001


def test_lines_are_read_as_they_are_answered() -> None:
    def lines() -> Iterator[bytes]:
        yield from (b"one\n", b"two\n")
        raise AssertionError("nobody asked for a third line")

    source = lines()

    class Stream:
        def readline(self, size: int) -> bytes:
            return next(source)

    stream: Any = Stream()
    read = text_lines(stream, "in")
    assert [next(read).text, next(read).text] == ["one", "two"]


FAKE = """
import sys, compress.serving
compress.serving.open_predictor = lambda *_: lambda text: [{"text": text, "n": 1}]
from compress.cli import main
sys.argv = ["compress", "predict", sys.argv[1], *sys.argv[2:]]
main()
"""
"""The command with a predictor that needs no model."""


@pytest.fixture
def streaming(model: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process, which waits for lines."""
    with subprocess.Popen(
        [sys.executable, "-c", FAKE, str(model), "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    ) as process:
        yield process
        process.kill()


def ask(process: subprocess.Popen[bytes], text: str) -> Any:
    assert process.stdin and process.stdout
    process.stdin.write(text.encode() + b"\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def test_an_answer_comes_before_the_next_line_is_written_and_an_interrupt_ends_quietly(
    streaming: subprocess.Popen[bytes],
) -> None:
    assert ask(streaming, "one") == {"text": "one", "n": 1}
    assert ask(streaming, "two\tthree")["text"] == "two\tthree"
    os.kill(streaming.pid, signal.SIGINT)
    assert streaming.wait(30) == 130
    assert streaming.stderr and streaming.stderr.read() == b""


def test_a_reader_that_hangs_up_ends_the_stream_quietly(streaming: subprocess.Popen[bytes]) -> None:
    """As in ``compress predict FOLDER --file F | head -1``."""
    ask(streaming, "one")
    assert streaming.stdout and streaming.stdin and streaming.stderr
    streaming.stdout.close()
    streaming.stdin.write(b"two\n" * 1000)
    streaming.stdin.close()
    streaming.wait(30)
    assert streaming.stderr.read() == b""
