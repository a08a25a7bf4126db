"""The commands that list what is installed. Each parses its arguments and calls another module."""

from __future__ import annotations

import click

from compress.cli.deferred import defer
from compress.cli.shared import as_json_option, emit, show_rows


@click.command("stages")
@click.argument("name", required=False)
@as_json_option
def stages_command(name: str | None, as_json: bool) -> None:
    """List the stages, or show one with its options."""
    defer("numpy")
    from dataclasses import asdict

    from compress.cli.catalogue import describe_stage, list_stages, print_stage
    from compress.cli.show import complain_of, output_console
    from compress.registry.plugins import load_plugins

    registry = load_plugins()
    complain_of(registry.problems)
    if name is None:
        rows = list_stages(registry)
        show_rows(rows, as_json)
        return
    stage = describe_stage(registry, name)
    if as_json:
        emit(asdict(stage))
    else:
        print_stage(stage, output_console())


@click.command("tasks")
@as_json_option
def tasks_command(as_json: bool) -> None:
    """List the tasks with their synonyms, columns and headline metric."""
    defer("numpy")
    from compress.cli.catalogue import list_tasks
    from compress.registry.plugins import load_plugins

    rows = list_tasks(load_plugins())
    show_rows(rows, as_json)


@click.command("recipes")
@as_json_option
def recipes_command(as_json: bool) -> None:
    """List the shipped recipes. Each may be run by its name or copied."""
    from compress.recipes.shipped import shipped_recipes

    rows = [
        {"name": path.stem, "summary": summary, "file": str(path)}
        for path, summary in shipped_recipes()
    ]
    show_rows(rows, as_json)


@click.command("plugins")
@as_json_option
def plugins_command(as_json: bool) -> None:
    """List the installed plugins, and what could not be loaded."""
    defer("numpy")
    from compress.cli.show import complain_of
    from compress.registry.plugins import load_plugins

    registry = load_plugins()
    rows = [
        {"name": name, "distribution": distribution, "version": version}
        for name, distribution, version in registry.plugins
    ]
    if as_json:
        emit({"plugins": rows, "problems": registry.problems})
        return
    show_rows(rows, as_json=False)
    complain_of(registry.problems)


@click.command("doctor")
@as_json_option
def doctor_command(as_json: bool) -> None:
    """Show what this machine has.

    Versions, processor features, GPU, engines, and what is below the safe floors."""
    from dataclasses import asdict

    from compress.cli.doctor import examine, print_examination
    from compress.cli.show import output_console

    examination = examine()
    if as_json:
        emit(asdict(examination))
    else:
        print_examination(examination, output_console())
