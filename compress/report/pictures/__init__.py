"""Pictures as numbers that a template draws."""
