"""Mission software as data: tables of its tools, their command lines, and verdicts on finished calls.

Each folder next to this file is a suite of programs, each TOML file in it a tool.
"""
