"""What a run knows and decides by: records, the types of a report, verdicts, findings."""
