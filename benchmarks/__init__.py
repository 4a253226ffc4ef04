"""Measurements and slow references; nothing here is installed."""
