"""The supernet as it is fast: many candidates at a time, few calls per step."""
