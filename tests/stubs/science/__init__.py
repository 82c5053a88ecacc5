"""What the main tools make of their inputs: real selections, good times, images and maps, if simple ones.

Each function has the name of its tool, and gives nothing where it has done its work, or name and text of an error.
"""
