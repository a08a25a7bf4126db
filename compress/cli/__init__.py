"""The command line. Each command imports what it needs when it is called, so that ``--help``
answers at once."""

from __future__ import annotations

import errno
import sys

import click

from compress.cli.ending import ending_of, heed_signals
from compress.cli.listcommands import (
    doctor_command,
    plugins_command,
    recipes_command,
    stages_command,
    tasks_command,
)
from compress.cli.modelcommands import predict_command, verify_command
from compress.cli.runcommands import (
    bench_command,
    diff_command,
    plan_command,
    report_command,
    run_command,
)
from compress.cli.trouble import file_trouble
from compress.errors import EXIT_ENVIRONMENT, EXIT_OK, EXIT_USAGE, CompressError
from compress.version import __version__

_EPILOG = """\b
Exit codes:
  0    done
  1    a stage failed; what was made before it is kept
  2    a mistake in a recipe, its data or a command
  3    something is missing on this machine, or a file cannot be read or written
  4    a budget was missed; the models are kept
  5    a stored file was changed or is broken
  130  interrupted by Ctrl-C; the same command continues
  143  ended by SIGTERM, likewise
  129  ended by SIGHUP, likewise: the terminal was closed"""


_FULL = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE)
"""Errors of a full disk or process. Python does not always say for which file."""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="compress")
def cli() -> None:
    """Make transformer models small and fast by recipes; every number is measured on what was
    saved."""


for _command in (
    run_command,
    plan_command,
    bench_command,
    report_command,
    diff_command,
    predict_command,
    verify_command,
    stages_command,
    tasks_command,
    recipes_command,
    plugins_command,
    doctor_command,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line and leave the process with its exit code. A user's mistake is printed
    without a traceback."""
    heed_signals()
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        result = cli.main(standalone_mode=False)
        return result if isinstance(result, int) else EXIT_OK
    except CompressError as error:
        _complain(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt) as error:
        words, code = ending_of(error)
        _complain(f"{words}; what is finished is kept: the same command continues")
        return code
    except OSError as error:
        if error.filename is None and error.errno not in _FULL:
            raise  # not about a file of the user: a bug, and its traceback is needed
        _complain(file_trouble(error))
        return EXIT_ENVIRONMENT


def _complain(text: str) -> None:
    from compress.report.text import visible

    for line in visible(text).splitlines():
        click.echo(f"error: {line}", err=True)
