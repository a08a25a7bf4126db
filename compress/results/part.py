"""What the parts of a report have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ReportPart(BaseModel):
    """A part of a report. It cannot be changed, unknown keys are errors, and so are values of
    another type: ``"3"`` is no number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )
