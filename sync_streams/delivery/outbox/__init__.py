"""One connection's outbound side."""
