"""Caches of Services, Streams and access tokens; the breaker before the database."""
