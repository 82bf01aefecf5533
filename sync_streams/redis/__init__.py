"""The road to Redis: addresses, clients, the publish rate, the channel layer."""
