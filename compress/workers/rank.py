"""One of several processes that apply a stage together:
``python -P -m compress.workers.rank JOB_FILE ADDRESS``. torchrun's launcher starts it
(``compress.workers.launching``) and tells it its number in the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from compress.workers.channel import WorkerLine, end_with_supervisor
from compress.workers.protocol import ApplyStage, Finished, Job, Joined
from compress.workers.worker import do_and_tell


def main(job_file: str, address: str) -> int:
    """Do this process's part of the job in the file. The exit code is 0 if it succeeded."""
    end_with_supervisor()
    line = WorkerLine(address)
    line.send(Joined(int(os.environ["RANK"])))
    return do_and_tell(Path(job_file), line, _do, _follows)


def _do(job: Job, line: WorkerLine) -> Finished:
    from compress.registry.plugins import load_plugins
    from compress.workers.jobs import staging
    from compress.workers.joining import Joint

    assert isinstance(job, ApplyStage), job  # no other job has several processes
    return staging.apply(job, line, load_plugins(), Joint.join())


def _follows() -> bool:
    from compress.workers.joining import fails_first

    return not fails_first()


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # instead of the interpreter's end, which takes seconds with torch in memory
