"""A run from the first step to the last: who makes, who measures, who backs off."""
