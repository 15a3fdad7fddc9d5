"""Depthwise convolutions on CUDA: several ways to compute the same, and the choice between them by measurement."""
