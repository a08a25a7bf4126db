"""A run of a plan: taking in, making, measuring, backing off."""
