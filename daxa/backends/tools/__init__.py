"""Mission software as data: tables of its tools, their command lines, and what a finished call was worth.

Each folder beside this file is a suite of programs, each TOML file in it a tool.
"""
