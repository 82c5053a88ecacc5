"""A release as a deposit for a data repository, and an archive restored from one."""
