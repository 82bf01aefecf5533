"""Fixtures for processes of every kind."""

from tests.webhooks.conftest import _receiver, override, receiver

__all__ = ["_receiver", "override", "receiver"]
