"""``python -m landscape.compute``: from settings to surfaces and paths, in jobs that resume."""
