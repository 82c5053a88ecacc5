"""Send the data of releases to a remote, bring them back, and keep the cache in order."""
