"""A host project under odd settings: each has a server and a test of its own."""
