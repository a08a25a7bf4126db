"""The job that fetches a model from the hub into the hub's own cache."""

from __future__ import annotations

from typing import Any

from compress.errors import EnvironmentFailure, UsageError
from compress.pretrained.modelfolder import PICKLES, TOKENIZER_PATTERNS
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine

WANTED = ("*.json", "*.jinja", "*.safetensors", *TOKENIZER_PATTERNS)
LEFT = ("*/*", "consolidated*.safetensors", *PICKLES)
"""Folders hold other formats, and Mistral's ``consolidated`` files the same weights once more."""


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """The local folder of a hub model: config, tokenizer and safetensors weights, never pickles.

    Raises UsageError for an id that cannot be one or that the hub does not have."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    hub_id = job["hub"]
    try:
        return {
            "folder": snapshot_download(
                hub_id, allow_patterns=list(WANTED), ignore_patterns=list(LEFT)
            )
        }
    except HFValidationError as error:
        raise UsageError(
            f"{hub_id!r} cannot be a model's id on the hub: {_first_line(error)}"
        ) from error
    except RepositoryNotFoundError as error:
        raise UsageError(f"the hub has no model {hub_id!r} (or it is private)") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise EnvironmentFailure(
            f"the hub model {hub_id!r} cannot be fetched: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
