"""The commands that plan, run, measure and compare. Each parses its arguments and calls another
module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from compress.cli.deferred import defer
from compress.cli.machines import node_rank_option, nodes_option, rendezvous_option
from compress.cli.shared import (
    EXIT_CODE,
    FOLDER,
    as_json_option,
    emit,
    overrides_option,
    runs_option,
    store_option,
)

if TYPE_CHECKING:
    from compress.store.store import Store


@click.command("run")
@click.argument("recipe")
@overrides_option
@store_option
@runs_option
@click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="TRACKER",
    help="Log the run to a tracker too: tensorboard, mlflow, or a plugin's. May be repeated.",
)
@nodes_option
@node_rank_option
@rendezvous_option
@as_json_option
def run_command(
    recipe: str,
    overrides: tuple[str, ...],
    store: Store,
    runs: Path,
    trackers: tuple[str, ...],
    nodes: int,
    node_rank: int,
    rendezvous: str,
    as_json: bool,
) -> int:
    """Run a recipe: make every step, measure it, report.

    RECIPE is a file or the name of a shipped recipe. The same command continues what was
    interrupted. Several machines do the steps of several processes together if the command is
    given on each of them, with --nodes and --rendezvous and its own --node-rank."""
    from compress.cli.machines import do_parts, leading, rendezvous_of
    from compress.cli.show import Show, output_console
    from compress.errors import EXIT_BUDGET, EXIT_OK
    from compress.planning import load_plan
    from compress.registry.plugins import load_plugins
    from compress.results.verdicts import budget_missed
    from compress.running.families import known_families
    from compress.running.runner import run_plan

    at = rendezvous_of(nodes, node_rank, rendezvous)
    registry = load_plugins()
    with Show(registry.problems) as show:
        plan = load_plan(recipe, overrides, registry, known_families(store), nodes)
        if at is not None and at.machine > 0:
            do_parts(at, plan, registry, runs)
            return EXIT_OK
        with leading(at, plan, registry, store) as team:
            report = run_plan(
                plan,
                registry,
                store=store,
                runs=runs,
                listener=show.event,
                trackers=trackers,
                team=team,
            )
    code = EXIT_BUDGET if budget_missed(report) else EXIT_OK
    click.get_current_context().meta[EXIT_CODE] = code
    if as_json:
        emit(report.model_dump(mode="json"))
    else:
        from compress.report.sections import sections_of
        from compress.report.text import visible
        from compress.report.views.terminal import print_report

        print_report(report, output_console(), sections_of(report, registry))
        click.echo(visible(f"report: {report.folder}/report.html"), err=True)
    return code


@click.command("plan")
@click.argument("recipe")
@overrides_option
@store_option
@nodes_option
@as_json_option
def plan_command(
    recipe: str, overrides: tuple[str, ...], store: Store, nodes: int, as_json: bool
) -> None:
    """Check a recipe and show its steps. No model is touched and nothing is downloaded.

    Shown are what each step makes, the options that the recipe gives, and whether the store has the
    result already (behind a model of the hub, that is known when a run has fetched it)."""
    defer("numpy")
    from compress.cli.planview import plan_json, print_plan, view_plan
    from compress.cli.show import complain_of, output_console
    from compress.planning import load_plan
    from compress.registry.plugins import load_plugins
    from compress.running.families import known_families

    registry = load_plugins()
    complain_of(registry.problems)
    plan = load_plan(recipe, overrides, registry, known_families(store), nodes)
    view = view_plan(plan, registry, store)
    if as_json:
        emit(plan_json(view))
    else:
        print_plan(view, output_console())


@click.command("bench")
@click.argument("models", nargs=-1)
@click.option(
    "--data", "recipe", metavar="RECIPE", help="Recipe whose task and test split are measured on."
)
@click.option(
    "--self-check",
    is_flag=True,
    help="Check the instrument: a model against itself, and slowed by 3 %.",
)
@overrides_option
@store_option
@runs_option
@as_json_option
def bench_command(
    models: tuple[str, ...],
    recipe: str | None,
    self_check: bool,
    overrides: tuple[str, ...],
    store: Store,
    runs: Path,
    as_json: bool,
) -> int:
    """Measure models side by side; the first is the reference. MODELS are folders or hub ids.

    With --self-check, one model folder is measured against itself (a small model is made where none
    is given): the ratio must read 1.00 within 2 %, and a copy that is slowed on purpose must be
    found. The folder is one that compress has made, and is given with --data. Exit code 3 where
    this machine cannot do that."""
    from compress.cli.show import Show, output_console
    from compress.errors import EXIT_OK, UsageError
    from compress.planning import load_plan
    from compress.registry.plugins import load_plugins
    from compress.report.sections import sections_of
    from compress.report.views.terminal import print_report
    from compress.running.bench import bench
    from compress.running.families import known_families

    if self_check:
        return _self_check(models, recipe, overrides, store, runs, as_json)
    if not models or recipe is None:
        raise UsageError(
            "bench needs models and the recipe of the data to measure on: compress bench A B "
            "--data RECIPE"
        )
    registry = load_plugins()
    with Show(registry.problems) as show:
        plan = load_plan(recipe, overrides, registry, known_families(store))
        report = bench(models, plan, registry, store, runs, show.event)
    click.get_current_context().meta[EXIT_CODE] = EXIT_OK
    if as_json:
        emit(report.model_dump(mode="json"))
    else:
        print_report(report, output_console(), sections_of(report, registry))
    return EXIT_OK


def _self_check(
    models: tuple[str, ...],
    recipe: str | None,
    overrides: tuple[str, ...],
    store: Store,
    runs: Path,
    as_json: bool,
) -> int:
    from dataclasses import asdict

    from compress.cli.selfcheckview import print_self_check
    from compress.cli.show import Show, output_console
    from compress.errors import EXIT_ENVIRONMENT, EXIT_OK, UsageError
    from compress.planning import load_plan
    from compress.registry.plugins import load_plugins
    from compress.running.families import known_families
    from compress.selfcheck import model_to_check, self_check

    if len(models) > 1 or bool(models) != (recipe is not None):
        raise UsageError("--self-check takes one model folder with --data RECIPE, or neither")
    if overrides and recipe is None:
        raise UsageError(
            "--set changes the recipe of --data, and --self-check without one takes its own as it "
            "is"
        )
    registry = load_plugins()
    with Show(registry.problems) as show:
        if recipe is not None:
            plan = load_plan(recipe, overrides, registry, known_families(store))
            folder = Path(models[0])
        else:
            plan, folder = model_to_check(registry, store, runs, show.event)
        check = self_check(folder, plan, registry, store, runs, show.event)
    if as_json:
        emit(asdict(check))
    else:
        print_self_check(check, output_console())
    return EXIT_OK if check.ok else EXIT_ENVIRONMENT


@click.command("report")
@click.argument("run", type=FOLDER, required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of report.json instead.")
@as_json_option
def report_command(run: Path | None, schema: bool, as_json: bool) -> None:
    """Show a run's report and rebuild its views from report.json.

    It also works while the run goes on. The report of a run whose folder cannot be written to is
    shown all the same."""
    from compress.cli.show import output_console
    from compress.errors import UsageError
    from compress.registry.plugins import load_plugins
    from compress.report.reading import read_report
    from compress.report.schema import schema_text
    from compress.report.sections import sections_of
    from compress.report.text import visible
    from compress.report.views.terminal import print_report
    from compress.report.views.writing import write_views
    from compress.store.runfolder import RunFolder
    from compress.store.trouble import file_trouble

    if schema:
        click.echo(schema_text(), nl=False)
        return
    if run is None:
        raise UsageError("compress report needs a run's folder: compress report runs/NAME")
    report = read_report(run)
    sections = sections_of(report, load_plugins())
    try:
        write_views(report, RunFolder(run), sections)
    except OSError as error:
        click.echo(
            visible(f"warning: the views could not be rebuilt: {file_trouble(error)}"), err=True
        )
    if as_json:
        emit(report.model_dump(mode="json"))
    else:
        print_report(report, output_console(), sections)
    if report.state == "running" and not RunFolder(run).is_held():
        click.echo(
            "warning: no process makes this run now; the same compress run continues it", err=True
        )


@click.command("diff")
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write a page to this file too.",
)
@as_json_option
def diff_command(first: Path, second: Path, html: Path | None, as_json: bool) -> None:
    """Compare two runs step by step, with significance.

    FIRST and SECOND are runs' folders; steps are matched by name. Quality is compared example by
    example where both runs measured on the same data. Timings of two runs were not taken in turns:
    a change of theirs counts only where the 95 % intervals do not overlap. compress bench takes
    turns."""
    from compress.cli.show import output_console
    from compress.measure.guarded import GuardedMeter
    from compress.registry.plugins import load_plugins
    from compress.report.diff.compare import compare_folders
    from compress.report.diff.views import diff_page, print_diff
    from compress.store.files import write_text

    difference = compare_folders(first, second, GuardedMeter.all_of(load_plugins()))
    if html:
        write_text(html, diff_page(difference))
    if as_json:
        emit(difference.model_dump(mode="json"))
    else:
        print_diff(difference, output_console())
