"""Speed and statistics of the suite, measured against known values and the usual alternatives."""
