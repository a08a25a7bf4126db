"""Bundles: what a serving team takes of an artifact. A bundle is an artifact with programs that
answer without the toolkit, and with answers that they must give."""
