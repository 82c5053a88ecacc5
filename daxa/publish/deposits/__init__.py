"""A release as a deposit for a repository of data, and an archive brought back from one."""
