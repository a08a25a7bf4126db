"""Data sets of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from compress.errors import EnvironmentFailure, UsageError
from compress.rowfiles import spooled
from compress.rows import CHUNK, Lazy
from compress.source import SPLITS, Source, SourceOptions, Table
from compress_sources.labels import class_labels
from compress_sources.own_splits import OwnSplits
from compress_sources.share import GroupBy, with_shares

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 10  # to wait for the hub's answer


class HubOptions(SourceOptions):
    """Options of a hub data set."""

    hub: str = Field(description="Id of the data set on the hub: owner/name.")
    name: str | None = Field(
        default=None, description="Its configuration; needed where it has several and no default."
    )
    revision: str | None = Field(
        default=None,
        description=(
            "Branch, tag or commit; the default is the main branch. With a full commit, cached "
            "data need no network."
        ),
    )
    splits: OwnSplits = Field(
        default_factory=dict,
        description=(
            "Our split to the data set's: {train: train, validation: dev}; the default takes "
            "those named train, validation and test."
        ),
    )
    validation: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the training rows to set aside where there is no such split.",
    )
    test: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="The same for the test split; a validation share is one of the rows left.",
    )
    group_by: GroupBy = None

    @model_validator(mode="after")
    def _groups_shares(self) -> Self:
        if self.group_by is not None and not self.shares:
            raise ValueError("group_by is for a share of the training rows, and none is set aside")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are a share of the training rows."""
        given = {"validation": self.validation, "test": self.test}
        return {split: share for split, share in given.items() if share is not None}


class Hub(Source[HubOptions]):
    """Rows of a hub data set at one commit. ``datasets`` refuses a data set that needs code
    of its own."""

    name = "hub"
    summary = "a data set of the Hugging Face hub"
    Options = HubOptions
    selects = "hub"

    def identity(self) -> Mapping[str, Any]:
        """The options with the revision as a commit. Raises EnvironmentFailure where the
        hub does not answer."""
        return {
            "source": self.name,
            **self.options.model_dump(mode="json"),
            "revision": self._commit,
        }

    def read(self) -> Mapping[str, Table]:
        """The splits as tables, with the names of class labels."""
        tables = {split: self._table(split, rows) for split, rows in self._load().items()}
        shares = self.options.shares
        for split in shares:
            if split in tables or "train" not in tables:
                raise UsageError(
                    f"{self.options.hub}: a {split} share needs a train and no {split} split; "
                    f"there are {', '.join(tables)}"
                )
        return with_shares(tables, shares, self.options.group_by)

    @cached_property
    def _commit(self) -> str:
        """The commit that ``revision`` names now."""
        options = self.options
        if options.revision and _COMMIT.fullmatch(options.revision):
            return options.revision
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            HFValidationError,
            HTTPError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        try:
            info = HfApi().dataset_info(options.hub, revision=options.revision, timeout=_SECONDS)
        except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise UsageError(
                f"the hub has no data set {self._wanted}: {_one_line(error)}"
            ) from error
        except (HTTPError, OSError) as error:  # whatever fails in the network is one of the two
            raise self._unreachable(error) from error
        return str(info.sha)

    @property
    def _wanted(self) -> str:
        revision = self.options.revision
        return f"{self.options.hub} at revision {revision}" if revision else self.options.hub

    def _load(self) -> dict[str, Any]:
        """Our split names to ``datasets.Dataset``."""
        if Path(self.options.hub).exists():  # load_dataset would read that instead
            raise UsageError(
                f"hub: {self.options.hub} is a path in the working directory too; "
                "run from another one"
            )
        if self.options.splits:
            return {split: self._loaded(split=name) for split, name in self.options.splits.items()}
        theirs = self._loaded()
        ours = {split: theirs[split] for split in SPLITS if split in theirs}
        if not ours:
            raise UsageError(
                f"{self.options.hub} has none of the splits {', '.join(SPLITS)} but "
                f"{', '.join(theirs)}; name them with splits: {{train: ...}}"
            )
        return ours

    def _loaded(self, **split: str) -> Any:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        try:
            return load_dataset(self.options.hub, self.options.name, revision=self._commit, **split)
        except ConnectionError as error:
            raise self._unreachable(error) from error
        except (DatasetsError, ValueError, RuntimeError) as error:
            # What datasets raises for unknown names and for scripts.
            raise UsageError(f"{self._wanted} cannot be loaded: {_one_line(error)}") from error

    def _unreachable(self, error: Exception) -> EnvironmentFailure:
        return EnvironmentFailure(
            f"the hub cannot be asked for {self._wanted}: {_one_line(error)}; "
            "cached data need no network where revision is a full commit"
        )

    def _table(self, split: str, dataset: Any) -> Table:
        rows = spooled(dataset.with_format("arrow").iter(CHUNK))
        places = Numbers(f"{self.options.hub}:{split}", len(dataset))
        return Table(rows, places, class_labels(dataset.features.to_dict()))


class Numbers(Lazy[str]):
    """The places of rows in a split: ``owner/name:train[7]``."""

    def __init__(self, split: str, rows: int) -> None:
        self.split, self.rows = split, rows

    def __len__(self) -> int:
        return self.rows

    def item(self, index: int) -> str:
        """The place of a row."""
        return f"{self.split}[{index}]"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
