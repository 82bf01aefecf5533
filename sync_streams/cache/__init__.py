"""Cache of Services and Streams, and the breaker in front of the database."""
