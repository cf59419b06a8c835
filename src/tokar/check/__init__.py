"""The graded verdict: will this restore? Rung by rung, each passed, failed, or not looked at.

===========  ===================================================================================================
readable     it is an archive of a version that is known here
sealed       it was finished, and its end is there
intact       every record is what its writer wrote; with content, every digest too
consistent   each file is in order by itself: header, name, size; with content, its pages and segments too
chained      every database can be recovered from the logs that are here
placeable    every file has a place, and nothing is in the way
rehearsed    restored to a scratch directory and read again
===========  ===================================================================================================

A rung that was not asked for is never counted as passed, and what a rung did not look at is said.

ladder      climbs the rungs
report      what became of them, as data
rehearsal   the last rung
describe    what an archive is, for `inspect`
"""
