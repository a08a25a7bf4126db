"""Output that cannot take a character, or that nobody reads to its end, ends no command with a
traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from compress.cli.answers import stream_answers
from compress.cli.shared import emit
from compress.errors import EXIT_SIGNAL
from compress.predictor import Predictor

LISTINGS = ("stages", "tasks", "recipes", "plugins")
NOT_READ = EXIT_SIGNAL + 13


def compress(
    *words: str, out: int = subprocess.PIPE, err: int = subprocess.PIPE, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    """``compress`` with these words and this environment."""
    return subprocess.run(
        [sys.executable, "-m", "compress", *words],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env={**os.environ, "COLUMNS": "120", **environ},
        timeout=120,
        check=False,
    )


def nobody_reads() -> int:
    """The writing end of a pipe whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])  # for ascii, click writes UTF-8
def test_a_character_that_the_output_cannot_take_is_replaced(
    encoding: str, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe("task: text-classification\nmodel: ./\u20ac\u6a21\nstages: [\u6a21]\n")
    for words in (("plan", str(recipe)), ("stages",)):
        done = compress(*words, PYTHONIOENCODING=encoding)
        assert done.returncode == (2 if words[0] == "plan" else 0)
        assert b"Traceback" not in done.stderr and b"Traceback" not in done.stdout
        if words[0] == "plan":
            assert b"there is no model folder" in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_json_is_whole_where_the_output_cannot_take_a_character(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors="replace"))
    answer = {"text": "caf\u00e9 \u6a21", "label": "\U0001f600"}
    emit([answer])
    texts = tmp_path / "texts"
    texts.write_text(answer["text"], encoding="utf-8")
    predictor = cast(Predictor, lambda text: [{**answer, "text": text}])
    stream_answers(predictor, str(texts), "text", as_json=True, asked={})
    whole, line = written.getvalue().decode(encoding).split("]\n")
    assert json.loads(f"{whole}]") == [answer] == [json.loads(line)]
    assert ("\\u6a21" in whole) is (encoding == "latin-1")


@pytest.mark.parametrize("words", [("stages",), ("plugins", "--json"), ("--help",)])
def test_a_reader_that_has_gone_ends_a_listing_silently(words: tuple[str, ...]) -> None:
    writing = nobody_reads()
    done = compress(*words, out=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (NOT_READ, b"")


def test_a_mistake_that_nobody_reads_has_its_exit_code(tmp_path: Path) -> None:
    writing = nobody_reads()
    done = compress("plan", str(tmp_path / "none.yaml"), out=writing, err=writing)
    os.close(writing)
    assert done.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_to_a_full_disk_is_one_line_and_ends_with_3() -> None:
    with Path("/dev/full").open("wb") as full:
        done = compress("stages", out=full.fileno())
    assert done.returncode == 3
    assert done.stderr.decode() == "error: No space left on device\n"


def test_streams_that_are_closed_at_the_start_are_no_trouble() -> None:
    words = f"{sys.executable} -m compress stages >&- 2>&-"
    assert subprocess.run(words, shell=True, check=False, timeout=120).returncode == 0
