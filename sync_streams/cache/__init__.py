"""Caches of Services, Streams and access tokens; the database breaker."""
