"""The version, for the package, its records and its wheel alike."""

__version__ = "0.1.0"
