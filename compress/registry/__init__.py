"""What the installed plugins register: the hooks, and the registry that plans and workers ask."""
