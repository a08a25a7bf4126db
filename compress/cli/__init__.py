"""The command line. Each command imports what it needs when it is called, so that ``--help``
answers at once."""

from __future__ import annotations

import sys
from typing import Any

import click

from compress.cli.ending import ending_of, heed_signals
from compress.cli.listcommands import (
    doctor_command,
    plugins_command,
    recipes_command,
    stages_command,
    tasks_command,
)
from compress.cli.modelcommands import bundle_command, predict_command, verify_command
from compress.cli.output import EXIT_NOT_READ, drop_output, flushed, is_unread, prepare_output
from compress.cli.runcommands import (
    bench_command,
    diff_command,
    plan_command,
    report_command,
    run_command,
)
from compress.cli.servecommand import serve_command
from compress.cli.shared import EXIT_CODE
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
  129  ended by SIGHUP, likewise: the terminal was closed
  141  nobody read the output to its end"""


class _Commands(click.Group):
    """The commands. One whose reader has gone ends with the exit code that it has kept."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The core's command of that name, else a plugin's; None if there is none."""
        from compress.cli.plugincommands import find_command

        return super().get_command(ctx, cmd_name) or find_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the core's commands, and below their own heading those of plugins."""
        from compress.cli.plugincommands import summaries

        super().format_commands(ctx, formatter)
        added = summaries()
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(added)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """The context of a command; it prints the help where that is asked for."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            drop_output()
            raise click.exceptions.Exit(EXIT_NOT_READ) from None

    def invoke(self, ctx: click.Context) -> Any:
        """The exit code of the command."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as error:
            if not is_unread(error):
                raise
            drop_output()
            return ctx.meta.get(EXIT_CODE, EXIT_NOT_READ)


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
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
    bundle_command,
    serve_command,
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
    prepare_output()
    heed_signals()
    sys.exit(flushed(_exit_code(), _complain_of_file))


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
        if error.errno is None:
            raise  # not the system's: a bug, and its traceback is needed
        _complain_of_file(error)
        return EXIT_ENVIRONMENT


def _complain_of_file(error: OSError) -> None:
    from compress.store.trouble import file_trouble

    _complain(file_trouble(error))


def _complain(text: str) -> None:
    from compress.report.text import visible

    for line in visible(text).splitlines():
        click.echo(f"error: {line}", err=True)
