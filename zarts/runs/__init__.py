"""Runs on disk: record files, the recorder of searches, stages, where numbers come from."""
