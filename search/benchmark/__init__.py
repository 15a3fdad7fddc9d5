"""Spaces trained whole, searches replayed on them, and the importance of dimensions."""
