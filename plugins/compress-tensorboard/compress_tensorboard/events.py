"""An event file, written with TensorBoard's own writer and messages, without torch or
TensorFlow."""

from __future__ import annotations

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.event_file_writer import EventFileWriter

_FLUSH_SECONDS = 5
"""After this time a point can be seen."""


class EventFile:
    """A new event file in ``folder``, open until ``close``. Scalars are float32, as in
    TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)

    def scalar(
        self, tag: str, value: float, step: int, at: float | None = None, description: str = ""
    ) -> None:
        """Add a point at ``step``. ``at`` is its time in seconds since 1970. TensorBoard
        shows the first description of a tag."""
        metadata = _metadata("scalars", description)
        self._add(Summary.Value(tag=tag, simple_value=value, metadata=metadata), step, at)

    def text(self, tag: str, markdown: str) -> None:
        """Add a text. TensorBoard shows it as Markdown."""
        tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
        self._add(Summary.Value(tag=tag, metadata=_metadata("text"), tensor=tensor), 0, None)

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._writer.close()

    def _add(self, value: Summary.Value, step: int, at: float | None) -> None:
        self._writer.add_event(
            Event(wall_time=at or time.time(), step=step, summary=Summary(value=[value]))
        )


def _metadata(plugin: str, description: str = "") -> SummaryMetadata:
    """The metadata of a tag: which of TensorBoard's plugins shows it, and its
    description."""
    return SummaryMetadata(
        summary_description=description, plugin_data=SummaryMetadata.PluginData(plugin_name=plugin)
    )
