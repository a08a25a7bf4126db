"""The state of a run, which its parts share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from compress.artifact import Artifact
from compress.errors import CompressError
from compress.measure import KeptSides
from compress.planning import Plan
from compress.registry.plugins import Registry
from compress.report.build import build_report
from compress.results.record import Record
from compress.results.report import Report, State
from compress.running.events import Events
from compress.running.making import Products
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.store.summary import DataSummary
from compress.tracker import Listener
from compress.workers.forking import WorkerServer
from compress.workers.team import Team


@dataclass(frozen=True)
class Run:
    """A plan, the means to run it, and the results so far.

    ``records`` holds the record of each artifact, by name. ``unconverted`` holds why the reference
    could not be converted for an engine or run there, by the name that the result would have.
    ``kept`` holds processes that take turns with several steps.
    ``summaries`` holds the summary of each of the run's data. All grow while the run goes on."""

    plan: Plan
    registry: Registry
    folder: RunFolder
    products: Products
    events: Events
    kept: KeptSides
    records: dict[str, Record] = field(default_factory=dict)
    unconverted: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, DataSummary] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plan: Plan,
        registry: Registry,
        store: Store,
        folder: RunFolder,
        listener: Listener,
        server: WorkerServer | None = None,
        team: Team | None = None,
    ) -> Run:
        """A run that has not begun; ``listener`` gets its events. Its workers may start from the
        ``server``; the machines of the ``team`` do their parts of its steps."""
        events = Events(folder, listener)
        products = Products(registry, store, folder, events.emit, server, team)
        return cls(plan, registry, folder, products, events, KeptSides(plan.effort))

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The artifacts so far, by name."""
        return {name: record.artifact for name, record in self.records.items()}

    def update(self, name: str, **changes: Any) -> None:
        """Change fields of an artifact's record."""
        self.records[name] = replace(self.records[name], **changes)

    def report(self, state: State, failure: str | None = None) -> Report:
        """The report of what is known so far; nothing is written."""
        report = build_report(
            self.plan, self.records, state, self.registry, self.unconverted, failure
        )
        return report.model_copy(update={"data_summaries": dict(self.summaries)})

    def reason(self, error: BaseException) -> str:
        """The text of an error without the paths of the run's folder and of the store, which differ
        between machines."""
        text = str(error)
        if not isinstance(error, CompressError):
            text = f"{type(error).__name__}: {error}"
        store = str(self.products.store.root)
        return text.replace(f"{self.folder.root}/", "").replace(store, "the store")
