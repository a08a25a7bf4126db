"""The walk of a run: prepare its inputs, make and measure each step, report after each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from compress.errors import CompressError
from compress.planning import Plan, Step
from compress.registry.models import needs_torch
from compress.registry.plugins import Registry
from compress.report.reading import read_report
from compress.report.sections import sections_of
from compress.report.views.writing import write_report
from compress.results.findings import LEARNT_NOTHING
from compress.results.report import Report, State
from compress.running.backing_off import back_off
from compress.running.budgets import best_step, hold_run_to_budget, hold_step_to_budget
from compress.running.heads import can_be_measured
from compress.running.inputs import prepare_inputs
from compress.running.measuring import measure_together
from compress.running.packages import refuse_tasks_without_packages
from compress.running.preflight import refuse_what_does_not_fit
from compress.running.run import Run
from compress.running.steps import make_conversions, make_step
from compress.running.summarising import summarise_data
from compress.running.tracking import Tracking, open_trackers
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.tracker import Listener
from compress.workers.channel import sweep_lines
from compress.workers.forking import WorkerServer
from compress.workers.team import Team


def run_plan(
    plan: Plan,
    registry: Registry,
    *,
    store: Store,
    runs: Path,
    listener: Listener,
    trackers: Sequence[str] = (),
    team: Team | None = None,
) -> Report:
    """The report of running ``plan``, with the run's folder as ``folder``. It is written also when
    a step fails.

    ``trackers`` are names; ``team`` has the other machines of the run. Raises CompressError."""
    tracking = Tracking(open_trackers(trackers, registry), listener)
    folder = RunFolder.of(plan, runs)
    return run_in_folder(plan, registry, store, folder, tracking, team)


def run_in_folder(
    plan: Plan,
    registry: Registry,
    store: Store,
    folder: RunFolder,
    tracking: Tracking,
    team: Team | None = None,
) -> Report:
    """The report of running ``plan`` in a folder, with the folder's path as ``folder``.

    What is finished stays finished, whatever happens later. The call waits while another process
    makes the same run."""
    refuse_tasks_without_packages(plan)
    server = WorkerServer(registry, expected=_needs_torch(plan))
    planned = Run.of(plan, registry, store, folder, tracking.event, server, team)
    tracking.start(folder.root, plan.name)
    last: list[Report] = []
    try:
        with ExitStack() as stack:
            stack.enter_context(server)
            stack.enter_context(planned.kept)
            with _reporting_failure(planned, last, write=False):
                stack.enter_context(folder.held(lambda holder: _announce_waiting(planned, holder)))
                _sweep(store)
                folder.prepare(plan)
                planned.events.emit("run_started", name=plan.name, folder=str(folder.root))
                _note_run_before(planned)
            with _reporting_failure(planned, last):
                _open_report(planned)
                run = prepare_inputs(planned)
            with _reporting_failure(run, last):
                _make_and_measure(run)
            with _reporting_failure(run, last, write=False):
                last.append(_finish(run))
    finally:
        # Another process that waits for the folder need not wait for a tracker's server.
        if last:
            tracking.finish(last[-1].model_dump(mode="json"))
    return last[-1].model_copy(update={"folder": str(folder.root)})


def _needs_torch(plan: Plan) -> bool:
    """Whether a step of the plan needs torch, if the store does not have its product."""
    return any(needs_torch(step.entry.cls.libraries) for step in plan.steps)


def _sweep(store: Store) -> None:
    """Remove what runs have left that were killed. A place that cannot be read stays as it is."""
    with suppress(OSError):
        store.sweep()
        sweep_lines()


def _open_report(run: Run) -> None:
    """Write that the run goes on. What was reported of it earlier stays in the report until a step
    is reported anew."""
    try:
        earlier = read_report(run.folder.root)
    except CompressError:  # there is none, or none that this version reads
        _report(run, "running")
    else:
        going_on = earlier.model_copy(update={"state": "running", "failure": None})
        write_report(going_on, run.folder, sections_of(going_on, run.registry))


def _announce_waiting(run: Run, holder: str) -> None:
    run.events.pass_on("note", text=f"waiting for {holder}, which makes the same run")


def _note_run_before(run: Run) -> None:
    """Tell the user of the run before on other data. A bench, which has no steps, is measured again
    in a folder of its own, so that its last folder may be of the same data."""
    if not run.plan.steps:
        return
    before = run.folder.run_before()
    if before is not None:
        run.events.note(
            f"{before} is a run of the same recipe on other data or models: both are kept, and "
            f"compress diff {before} {run.folder.root} compares them"
        )


@contextmanager
def _reporting_failure(run: Run, last: list[Report], *, write: bool = True) -> Iterator[None]:
    """When the body fails or is interrupted, add the report of what is known to ``last``. With
    ``write`` it is written into the run's folder too."""
    try:
        yield
    except BaseException as error:
        # The user must see what ended the run, whatever fails while it is reported.
        if write and isinstance(error, CompressError):
            with suppress(Exception):
                run.events.emit("run_failed", text=str(error))
        with suppress(Exception):
            last.append(_report_of_failure(run, error))
            if write:
                write_report(last[-1], run.folder, sections_of(last[-1], run.registry))
        raise


def _report_of_failure(run: Run, error: BaseException) -> Report:
    if isinstance(error, KeyboardInterrupt):
        return run.report("interrupted")
    return run.report("failed", run.reason(error))


def _make_and_measure(run: Run) -> None:
    """Make and measure every step, and hold the run to its budget; before the first step, summarise
    the data and refuse what does not fit.

    The summary comes first, because it may show why something does not fit: a header that became a
    label gives labels that no model has."""
    summarise_data(run)
    refuse_what_does_not_fit(run)
    _measure_models(run)
    for index, step in enumerate(run.plan.steps, start=1):
        _do_step(run, step, index)
    hold_run_to_budget(run)


def _finish(run: Run) -> Report:
    """Write the report of a run that is done, and link its best step."""
    report = _report(run, "finished")
    best = best_step(report)
    if best is not None:
        run.folder.link_best(run.records[best].place)
    run.events.emit("run_finished", report=str(run.folder.report))
    return report


def _measure_models(run: Run) -> None:
    """Measure the models from outside that serve the recipe's task, the reference first."""
    plan = run.plan
    if plan.data is None:
        return
    for name, artifact in sorted(run.artifacts.items(), key=lambda item: item[0] != plan.reference):
        if can_be_measured(plan, artifact, run.products):
            names = [name, *make_conversions(run, name)]
            measure_together(run, names, plan.task, plan.data)
            _report_first_results(run)
            _say_if_it_learnt_nothing(run, name)


def _report_first_results(run: Run) -> None:
    """Write the report of the models that are measured before the first step, unless one of an
    earlier try says more."""
    steps = read_report(run.folder.root).steps
    if len(steps) <= len(run.records):
        _report(run, "running")


def _say_if_it_learnt_nothing(run: Run, name: str) -> None:
    """Tell the user of the first model that learnt nothing, before anything is made from it."""
    for finding in run.report("running").findings:
        if finding.kind == LEARNT_NOTHING and finding.step == name:
            run.events.note(f"finding: {finding.text}")


def _do_step(run: Run, step: Step, index: int) -> None:
    """Make and measure one step, report, and hold the step to its budget."""
    run.events.emit(
        "step_started",
        step=step.name,
        stage=step.entry.name,
        index=index,
        of=len(run.plan.steps),
    )
    same_task = [name for name, record in run.records.items() if record.task == step.task.name]
    not_measured = []
    if step.budget is not None and step.budget.on_miss == "back_off":
        back_off(run, step, step.budget, index)  # which measures each try
    else:
        make_step(run, step, index)
        not_measured.append(step.name)
    not_measured += make_conversions(run, step.name)
    measure_together(run, not_measured, step.task, step.data)
    run.events.emit("step_finished", step=step.name, record=run.records[step.name].summary())
    _say_if_it_learnt_nothing(run, step.name)
    if step.name == run.plan.reference:
        _measure_again(run, same_task)
    hold_step_to_budget(run, step, _report(run, "running"))


def _measure_again(run: Run, names: Sequence[str]) -> None:
    """Measure again, beside the reference, what was measured before the reference was made."""
    for name in names:
        made_by = run.plan.step(name) or run.plan
        measure_together(run, [name], made_by.task, made_by.data)


def _report(run: Run, state: State) -> Report:
    """The report of what is known so far, which is also written."""
    report = run.report(state)
    write_report(report, run.folder, sections_of(report, run.registry))
    return report
