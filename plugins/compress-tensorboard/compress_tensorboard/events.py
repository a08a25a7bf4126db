"""An event file, by TensorBoard's own writer and messages: neither torch nor TensorFlow is
needed."""

from __future__ import annotations

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.event_file_writer import EventFileWriter

_FLUSH_SECONDS = 5
"""How old a point may be before it can be seen."""


class EventFile:
    """A new event file in ``folder``, open until ``close``. Scalars are float32, as TensorBoard has
    them."""

    def __init__(self, folder: Path) -> None:
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)

    def scalar(
        self, tag: str, value: float, step: int, at: float | None = None, description: str = ""
    ) -> None:
        """Add a point at ``step``; ``at`` is when it was taken, in seconds since 1970. The first
        description of a tag stands."""
        self._add(
            Summary.Value(tag=tag, simple_value=value, metadata=_metadata("scalars", description)),
            step,
            at,
        )

    def text(self, tag: str, markdown: str) -> None:
        """Add a text, which TensorBoard shows as Markdown."""
        tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
        self._add(Summary.Value(tag=tag, metadata=_metadata("text"), tensor=tensor), 0, None)

    def close(self) -> None:
        """Write what is not written yet and close the file."""
        self._writer.close()

    def _add(self, value: Summary.Value, step: int, at: float | None) -> None:
        self._writer.add_event(
            Event(wall_time=at or time.time(), step=step, summary=Summary(value=[value]))
        )


def _metadata(plugin: str, description: str = "") -> SummaryMetadata:
    """What says which of TensorBoard's plugins shows a tag."""
    return SummaryMetadata(
        summary_description=description, plugin_data=SummaryMetadata.PluginData(plugin_name=plugin)
    )
