"""Bring the files of an observation from an archive, once, whole and checked.

`observation` is the way in.  Under it: `mirrors` says which servers are asked, `sources` and `survey` find
the directory, `directories` and `listing` read it, `plan` chooses files, `limits` says how large they may
be, `transfer` downloads them over a `connection` (whose client is in `wire`) into `parts`, `verify`,
`structure` and `catalogue` check them, `store` keeps them by digest.
"""
