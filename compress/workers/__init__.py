"""Processes that do one job each: starting them, talking to them, and the jobs."""
