"""Depthwise convolutions for CUDA in several backends. Nothing here runs on a CPU except the dispatch."""
