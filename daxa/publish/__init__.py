"""Make releases, share their data, and verify that the data are what a release says."""
