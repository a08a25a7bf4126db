"""Measuring artifacts as saved, each reloaded in a fresh process, timings taken in turns."""

from __future__ import annotations

from compress.measure.instrument import Asked, Earlier, Subject, compare, measure

__all__ = ["Asked", "Earlier", "Subject", "compare", "measure"]
