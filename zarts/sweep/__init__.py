"""Many searches from one file: seeds and experiments, each a run of its own.

``settings`` reads the file, ``running`` does the searches, ``progress`` says how far they are,
``results`` what they found.
"""
