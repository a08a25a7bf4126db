"""The job that fetches a model from the hub into the hub's own cache."""

from __future__ import annotations

from pathlib import Path

from compress.errors import EnvironmentFailure, UsageError, first_line
from compress.pretrained.modelfolder import TOKENIZER_PATTERNS
from compress.registry.plugins import Registry
from compress.weightfiles import PICKLES
from compress.workers.channel import WorkerLine
from compress.workers.protocol import DownloadModel, Finished

WANTED = ("*.json", "*.jinja", "*.safetensors", *TOKENIZER_PATTERNS)
IGNORED = ("*/*", "consolidated*.safetensors", *PICKLES)
"""Folders hold other formats, and Mistral's ``consolidated`` files the same weights once more."""


def run(job: DownloadModel, line: WorkerLine, registry: Registry) -> Finished:
    """Download the model's config, tokenizer and safetensors weights, never pickles. The result
    names the local folder.

    Raises UsageError for an id that is not valid or that the hub does not have, and
    EnvironmentFailure if the hub cannot be reached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        folder = snapshot_download(
            job.hub_id, allow_patterns=list(WANTED), ignore_patterns=list(IGNORED)
        )
    except HFValidationError as error:
        raise UsageError(
            f"{job.hub_id!r} cannot be a model's id on the hub: {_reason(error)}"
        ) from error
    except RepositoryNotFoundError as error:
        raise UsageError(f"the hub has no model {job.hub_id!r} (or it is private)") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise EnvironmentFailure(
            f"the hub model {job.hub_id!r} cannot be fetched: {_reason(error)}"
        ) from error
    return Finished(Path(folder))


def _reason(error: Exception) -> str:
    return first_line(error) or type(error).__name__
