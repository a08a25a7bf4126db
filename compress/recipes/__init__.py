"""Recipes as written: YAML with the place of every key, the structure of a recipe, the shipped
ones."""
