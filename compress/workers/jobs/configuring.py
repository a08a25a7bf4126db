"""The job that builds a fresh model without memory, to find out before hours of work whether its
configuration is valid."""

from __future__ import annotations

import traceback

from compress.errors import CompressError, UsageError
from compress.pretrained.building import reason_of_failed_build
from compress.registry.models import register_models
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine
from compress.workers.jobs.common import task_of
from compress.workers.protocol import ConfigureModel, Finished


def run(job: ConfigureModel, line: WorkerLine, registry: Registry) -> Finished:
    """Write the whole config of the fresh model into ``job.output``; nothing for a type that
    transformers does not know, which is no transformer: the stage that makes it checks it.

    Raises UsageError if its family does not accept the configuration or cannot build a model of
    it."""
    import torch
    from transformers import CONFIG_MAPPING

    from compress.models import fresh_model

    register_models(registry, [job.fresh["type"]])
    if job.fresh["type"] not in CONFIG_MAPPING:
        return Finished()
    try:
        with torch.device("meta"):
            model = fresh_model(job.fresh, task_of(job.task, registry), job.labels)
    except CompressError:
        raise
    except Exception as error:  # a family's code may raise anything for values it cannot use
        traceback.print_exc()
        raise UsageError(
            f"no {job.fresh['type']} model can be built of this configuration: "
            f"{reason_of_failed_build(error)}"
        ) from error
    model.config.to_json_file(job.output / "config.json", use_diff=False)
    return Finished()
