"""The views of a report: pages, tables in a terminal, model cards."""
