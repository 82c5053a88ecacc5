"""Run tasks, one per observation and step, and record them in ledgers."""
