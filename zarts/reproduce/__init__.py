"""The paper's figures and tables as commands: ``python -m zarts.reproduce``."""
