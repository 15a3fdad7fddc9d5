"""What `python -m search` does, one module per command."""
