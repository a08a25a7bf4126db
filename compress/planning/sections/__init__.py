"""The sections of a recipe, apart from its steps: each module reads one. ``limits`` and ``outside``
read what stands in several places."""
