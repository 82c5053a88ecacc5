"""The telescopes that daxa knows, one module each: every module here is a telescope, without further registration.

A module declares ``TELESCOPE``.  Facts that several share come from HEASARC's mission database
of xselect (``xselect.mdb``): names of tables and columns, and which columns have grades and chips.
"""
