"""What a run found out, and what it decides by: records, comparisons, verdicts, findings."""
