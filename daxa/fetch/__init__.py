"""Fetch the files of an observation from an archive: once, complete and checked.

`observation` is the way in.  Under it: `mirrors` says which servers are tried, `locations` and `survey` find
the directory, `directories` and `listing` read it, `file_choice` chooses files, `file_sizes` says how large they may
be, `transfer` downloads them over a `connection` (whose client is in `wire`) into `parts`, `content_check`,
`structure` and `catalogue` check them, `store` keeps them by digest.
"""
