"""Search spaces and what defines a search, as plain Python."""
