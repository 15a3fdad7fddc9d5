"""The commands of `python -m search`, one module per command."""
