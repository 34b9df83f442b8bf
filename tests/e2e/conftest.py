"""Fixtures of the end-to-end tests."""

from serving import bare_python, client, own_service, service

__all__ = ["bare_python", "client", "own_service", "service"]
