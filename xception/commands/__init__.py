"""The commands of `python -m xception`, one module per command."""
