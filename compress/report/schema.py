"""The JSON Schema of ``report.json``, made from the types of a report."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from compress.results.report import Report


def schema_text() -> str:
    """The JSON Schema (2020-12) of what a run writes. Every key that is written is required."""
    schema = Report.model_json_schema(mode="serialization", schema_generator=_WithoutTitles)
    values = {"$schema": _WithoutTitles.schema_dialect, **schema}
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


class _WithoutTitles(GenerateJsonSchema):
    """Keys have no titles: pydantic's would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No title."""
        return False
