"""The tables that every view shows, as text cells."""
