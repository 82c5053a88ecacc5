"""Make releases, and verify that the data on disk are what a release says."""
