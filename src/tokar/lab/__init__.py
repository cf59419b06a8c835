"""An honest small engine in the style of ESE, to back up, to restore, and to break on purpose.

Not a mock: databases are files of checksummed pages with real ESE headers, changes are logged first, pages are written
late, several transactions are open at once and end in later log generations, pages split and move records past a
running copy. Recovery is by redo and undo from the files alone. The modules, from the bottom up::

    errors, eras, chance              JET numbers; how three engines differ; seeded clock and dice
    records, pages, changes           log records; leaf pages; what the one does to the other
    segment_log, range_log            the two containers of log records (format 8, format 7)
    log_file, log_stream              one log; the stream of logs
    database_file, cache, table       a database on disk; its pages in memory; its records
    transactions, instance, work      who changes what; the running engine; random work
    patch, copies, backup             what a backup reads, and its rules
    redo, restore_logs, recovery      soft and hard recovery; reads placed files and nothing else
    config, registration, lab         a server in a folder
    faults, calls, restore_context    what `tokar.lab.server` needs to put the contract on top

What is simplified against the real engine: no tree above the leaves, one key space a database; logs are small; the log
being written has no shadow segments (a process may be killed at any time, a power cut in the middle of a write is not
simulated); one process at a time.
"""
