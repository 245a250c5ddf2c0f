"""The language model and its server."""
