"""What the live transports share: a socket's life, who it is, the registry."""
