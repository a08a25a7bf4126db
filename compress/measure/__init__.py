"""Measuring artifacts as saved, each reloaded in a fresh process, timings taken in turns."""

from __future__ import annotations

from compress.measure.instrument import Measured, Subject, measure

__all__ = ["Measured", "Subject", "measure"]
