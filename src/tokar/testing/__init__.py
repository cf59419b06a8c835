"""The contract of a server as tests, and a server to break: for those who write a source (docs/how-to/sources.md)."""
