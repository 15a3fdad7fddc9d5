"""The servers and clusters of these tests."""

from servers import postgres, ray_cluster

__all__ = ["postgres", "ray_cluster"]
