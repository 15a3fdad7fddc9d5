"""Records of trials, plans of studies, and their databases."""
