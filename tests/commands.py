"""Running ``compress`` in its own process, and checking how it reports mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kept_families import give_families

# Python imports it as ``sitecustomize`` before all else in the command's process. When the process
# ends it writes down which heavy packages were imported.
GUARD = """
import atexit, os, sys

HEAVY = {
    "torch", "transformers", "onnxruntime", "sklearn", "pandas", "datasets", "optimum", "evaluate"
}

def write_down():
    with open(os.environ["IMPORTED_FILE"], "w") as file:
        file.write(" ".join(sorted(HEAVY & set(sys.modules))))

atexit.register(write_down)
"""


@dataclass(frozen=True)
class Answer:
    """The end of a command: its exit code and output, the ``seconds`` it took on the clock, the
    seconds of ``cpu`` time of its process, and the ``heavy`` packages it imported."""

    code: int
    out: str
    err: str
    seconds: float
    cpu: float
    heavy: str

    @property
    def value(self) -> Any:
        """Its standard output, read as JSON."""
        return json.loads(self.out)


Command = Callable[..., Answer]
_PLANNING = ("plan", "run", "bench")
"""Commands that may have to know the families of models."""


def command_in(folder: Path) -> Command:
    """A function that runs ``compress`` with the given words, in ``folder`` and with a store there.

    ``environ`` adds to the environment. A ``PYTHONPATH`` in it keeps its place behind the guard."""
    guard = folder / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    own = {
        # As for a user, bytecode is kept: without it, compiling takes a third of a command's time.
        "PYTHONDONTWRITEBYTECODE": "",
        "IMPORTED_FILE": str(guard / "imported"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "COMPRESS_STORE": str(folder / "store"),
    }

    def run(*words: str | Path, environ: Mapping[str, str] | None = None) -> Answer:
        if words[0] in _PLANNING:
            give_families(folder / "store")
        whole = {**os.environ, **own, **(environ or {})}
        path = [str(guard), *filter(None, [whole.get("PYTHONPATH")])]
        whole["PYTHONPATH"] = os.pathsep.join(path)
        return _run([sys.executable, "-m", "compress", *map(str, words)], folder, whole)

    return run


def _run(words: list[str], folder: Path, environ: Mapping[str, str]) -> Answer:
    out, err = folder / "guard" / "out", folder / "guard" / "err"
    start = time.perf_counter()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(
            words, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        # wait4 gives the CPU time of this one child, which a busy machine does not change.
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return Answer(
        child.returncode,
        out.read_text(encoding="utf-8"),
        err.read_text(encoding="utf-8"),
        time.perf_counter() - start,
        used.ru_utime + used.ru_stime,
        (folder / "guard" / "imported").read_text(encoding="utf-8"),
    )


def assert_mistakes(
    answer: Answer, recipe: Path, mistakes: Sequence[tuple[str, Sequence[str]]]
) -> None:
    """Check that a command reports exactly these mistakes of a recipe: each on its own line with
    its place (``line:column``) and its words, quickly, without a traceback or a heavy import."""
    assert answer.code == 2, answer.err
    lines = answer.err.splitlines()
    assert len(lines) == len(mistakes), answer.err
    for line, (place, words) in zip(lines, mistakes, strict=True):
        assert line.startswith(f"error: {recipe}:{place}: ")
        for word in words:
            assert word in line
    assert answer.out == "" and "Traceback" not in answer.err
    assert answer.heavy == ""
    assert answer.cpu < 1.5  # about 0.5 on an idle machine
