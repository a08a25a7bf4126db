"""The worker process: ``python -m compress.workers.worker JOB_FILE ADDRESS`` does one job and sends
the result, or the error, over the line at the address."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from compress.errors import EXIT_ENVIRONMENT, EXIT_STAGE, CompressError, Ended
from compress.workers.channel import WorkerLine, end_with_supervisor
from compress.workers.encoding import decode_job
from compress.workers.failures import describe
from compress.workers.protocol import ApplyStage, Failed, Finished, Job, folders_written


def main(job_file: str, address: str) -> int:
    """Do the job in the file. The exit code is 0 if it succeeded."""
    end_with_supervisor()
    file = Path(job_file)
    return do_and_tell(file, WorkerLine(address), lambda job, line: _do(job, file, line))


def do_and_tell(
    job_file: Path,
    line: WorkerLine,
    do: Callable[[Job, WorkerLine], Finished | Failed],
    follows: Callable[[], bool] = lambda: False,
) -> int:
    """Do the job in the file and send its result or its error over the line. ``follows()`` says of
    an error whether another process had failed before. The exit code is 0 if it succeeded."""
    written: tuple[Path, ...] = ()
    try:
        job = decode_job(job_file.read_text(encoding="utf-8"))
        written = folders_written(job)
        result = do(job, line)
        line.send(result)
        return 0 if isinstance(result, Finished) else EXIT_STAGE
    except Ended as end:  # it has kept what it could: now the signal does what it does by default
        signal.signal(end.number, signal.SIG_DFL)
        os.kill(os.getpid(), end.number)
        raise
    except CompressError as error:
        line.send(replace(describe(error), follows=follows()))
        return error.exit_code
    except Exception as error:  # outermost frame: the log gets a bug's traceback, the user its name
        with suppress(OSError):  # the log's disk may be full
            traceback.print_exc()
        failed = replace(describe(error, written), follows=follows())
        line.send(failed)
        return EXIT_ENVIRONMENT if failed.error else EXIT_STAGE


def _do(job: Job, job_file: Path, line: WorkerLine) -> Finished | Failed:
    from compress.registry.plugins import load_plugins
    from compress.workers.jobs import JOBS
    from compress.workers.launching import launch

    if isinstance(job, ApplyStage) and job.processes > 1:
        return launch(job_file, job, line)
    registry = load_plugins()
    # A search for garbage then leaves out the imported modules, which take it 0.2 seconds.
    gc.freeze()
    return JOBS[type(job)](job, line, registry)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
