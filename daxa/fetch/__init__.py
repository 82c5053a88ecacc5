"""Bring the files of an observation from an archive, once, whole and checked.

`observation` is the way in.  Under it: `sources` finds the directory, `listing`
reads it, `plan` chooses files, `transfer` downloads them over a `connection`,
`verify` and `structure` look inside, `store` keeps them by digest.
"""
