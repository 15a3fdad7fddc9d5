"""The search itself: ask, run the same trial as an ablation, tell."""
