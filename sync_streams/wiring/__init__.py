"""What :mod:`sync_streams.apps` connects when Django starts."""
