"""The hooks that plugins implement, and the registry of what they registered."""
