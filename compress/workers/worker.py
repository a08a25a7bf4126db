"""The worker process: ``python -m compress.workers.worker job.json`` does one job and tells the
supervisor what came of it."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UsageError
from compress.workers.channel import WorkerLine, end_with_supervisor


def main(path: str) -> int:
    """Do the job in the file ``path``; the exit code is 0 when it was done."""
    end_with_supervisor()
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    line = WorkerLine(job["line"])
    try:
        line.send({"result": _do(job, line)})
        return 0
    except CompressError as error:
        line.send({"error": describe(error)})
        return error.exit_code
    except Exception as error:  # the process's outermost frame: a bug's traceback goes to the log, its name to the user
        traceback.print_exc()
        text = str(error).splitlines()[0] if str(error) else ""
        line.send({"error": {"kind": "bug", "text": f"{type(error).__name__}: {text}"}})
        return 1


def _do(job: dict[str, Any], line: WorkerLine) -> dict[str, Any]:
    from compress.registry.plugins import load_plugins
    from compress.workers.jobs import JOBS

    return JOBS[job["kind"]](job, line, load_plugins())


def describe(error: CompressError) -> dict[str, Any]:
    """The error as a message from which ``supervisor.raise_error`` makes it again."""
    mistakes = [vars(m) for m in error.mistakes] if isinstance(error, UsageError) else []
    return {"kind": type(error).__name__, "text": str(error), "mistakes": mistakes}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
