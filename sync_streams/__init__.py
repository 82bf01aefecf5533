"""Self-hosted, wire-compatible server for Twilio Sync Streams, as a Django app."""

__version__ = "0.2.0"
