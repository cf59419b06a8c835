"""Servers, and the order of steps of backup and restore with them.

::

    contract          one server in the terms of the backup interfaces; the dialects; the kinds of backup
    deadline          a server in a process of its own, with a deadline on every call
    directory_source  a set at rest behind the contract
    states            every transition of both procedures, in two tables
    transcript        what was called, and what came of it
    content           the content of one listed file, as a stream that cannot end early unnoticed
    backup_steps      the nine steps of Q159838
    restore_steps     register, place and complete, in the order of the dialect
    prior, licence    the set before a logs-only one; the only thing that TruncateLogs accepts, and what gives it
    run_backup        where a server, the procedure and an archive meet
    run_restore       where archives, the plan and the restore procedure meet

The steps see the contract alone: no file access, no knowledge of the format.
"""
