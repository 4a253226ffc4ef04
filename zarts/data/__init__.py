"""Data sets, on-device augmentation and resumable batch streams."""
