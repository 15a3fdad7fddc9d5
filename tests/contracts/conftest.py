"""The servers and clusters of these tests."""

from tests.servers import postgres, ray_cluster

__all__ = ["postgres", "ray_cluster"]
