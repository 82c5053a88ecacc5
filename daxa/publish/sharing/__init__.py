"""Send the data of releases to a remote, get them back, and keep the cache in order."""
