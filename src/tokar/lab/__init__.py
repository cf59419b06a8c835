"""An honest small engine in the style of ESE, to back up, to restore, and to break on purpose.

Not a mock: databases are files of checksummed pages with real ESE headers, changes are logged first, pages are written
late, several transactions are open at once and end in later log generations, pages split and move records past a
running copy. Recovery is by redo and undo from the files alone. The modules, from the bottom up::

    engine                      how three engines differ; what they refuse; seeded clock and chance
    change_records              log records
    log_formats, log_stream     one log of format 7 or 8; the stream of logs
    database_file, tables       databases, leaf pages and the checkpoint on disk; pages and transactions in memory
    instance, backup            the running engine, and random work; what a backup reads, and its rules
    restore_logs                which logs a recovery plays
    engine_recovery             soft and hard recovery; reads placed files and nothing else
    config, lab                 a server in a folder
    calls, server               the contract on top; faults on order
    demo                        the whole story in a few seconds

What is simplified against the real engine: no tree above the leaves, one key space a database; logs are small (a
process may be killed at any time, a power cut in the middle of a write is not simulated); one process at a time.
"""
