"""Make a release again from one small file, and certify what came out the same."""
