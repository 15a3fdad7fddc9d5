"""Canonical configs, files written safely and command lines: what every package builds on."""
