"""What a search leaves: confirmed winners, tables and figures."""
