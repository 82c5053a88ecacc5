"""Carry out tasks, one per observation and step, and keep the ledger of them."""
