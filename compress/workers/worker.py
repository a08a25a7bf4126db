"""The worker process: ``python -m compress.workers.worker JOB_FILE ADDRESS`` does one job and sends
the result, or the error, over the line at the address."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from compress.errors import EXIT_ENVIRONMENT, EXIT_STAGE, CompressError, Ended
from compress.workers.channel import WorkerLine, end_with_supervisor
from compress.workers.encoding import decode_job
from compress.workers.failures import describe
from compress.workers.protocol import Finished, Job, folders_written


def main(job_file: str, address: str) -> int:
    """Do the job in the file. The exit code is 0 if it succeeded."""
    end_with_supervisor()
    line = WorkerLine(address)
    written: tuple[Path, ...] = ()
    try:
        job = _job(Path(job_file))
        written = folders_written(job)
        line.send(_do(job, line))
        return 0
    except Ended as end:  # it has kept what it could: now the signal does what it does by default
        signal.signal(end.number, signal.SIG_DFL)
        os.kill(os.getpid(), end.number)
        raise
    except CompressError as error:
        line.send(describe(error))
        return error.exit_code
    except Exception as error:  # outermost frame: the log gets a bug's traceback, the user its name
        with suppress(OSError):  # the log's disk may be full
            traceback.print_exc()
        failed = describe(error, written)
        line.send(failed)
        return EXIT_ENVIRONMENT if failed.error else EXIT_STAGE


def _job(file: Path) -> Job:
    return decode_job(file.read_text(encoding="utf-8"))


def _do(job: Job, line: WorkerLine) -> Finished:
    from compress.registry.plugins import load_plugins
    from compress.workers.jobs import JOBS

    return JOBS[type(job)](job, line, load_plugins())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
