"""Executors (local, Ray, torchrun), the task of one trial, claims and progress."""
