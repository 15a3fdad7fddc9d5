"""From a frame of records to comparisons: effects, learning curves, interactions."""
