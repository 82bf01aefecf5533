"""What the live transports share: socket lifecycle, authentication, the registry."""
