"""Make releases, and prove that the data on disk are what a release says."""
