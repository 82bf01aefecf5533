"""Values that need nothing else of this package: accounts, SIDs, paths, times."""
