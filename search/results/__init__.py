"""The results of a search: confirmed winners, tables and figures."""
