"""What only a machine with mission software can check."""
