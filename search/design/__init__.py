"""Search spaces and the definition of a search, as plain Python."""
