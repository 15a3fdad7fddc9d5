"""Tables, figures, the report page and the folder of results."""
