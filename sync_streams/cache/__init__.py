"""Services and Streams that were fetched a moment ago."""
