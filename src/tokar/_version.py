"""The version of the package; the version of the format is in spec/format.md."""

__version__ = "0.1.0"
SOFTWARE = f"tokar {__version__}"  # what archives say that wrote them
