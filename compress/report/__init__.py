"""The report: ``report.json`` is the truth, every other view is made from it."""
