"""Discrete architectures: where one is read from, how it is drawn, and what it costs."""
