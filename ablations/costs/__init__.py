"""Estimates of training time, and the parameters, MACs, latency and memory of each variant."""
