"""Stand-ins for mission software: real programs, one per tool, that behave as the tables and known logs say.

They refuse what the real ones refuse, keep parameter files as the real ones do, need the environment that those need,
write files of the right names, and fail on request.  What no public log shows is assumed here and nowhere else: the
words with which SAS and HEASoft refuse a parameter, and the exit status of the chains of SAS (0).
"""
