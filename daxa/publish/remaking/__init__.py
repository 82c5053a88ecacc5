"""Make a release again from one small file, and certify what is identical."""
