"""Make releases, share their data, and prove that the data are what a release says."""
