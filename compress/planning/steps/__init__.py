"""The steps of a recipe: reading each one, and checking that it fits what it is given."""
