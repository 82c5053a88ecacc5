"""What differs between two versions of an archive, and why."""
