"""The version of this project, where the build, `--version` and `xception.__version__` find it."""

__all__ = ["__version__"]

__version__ = "0.2.0"
