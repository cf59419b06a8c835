"""The order of steps of backup and restore, and the rule about truncation. No file access, no knowledge of the format.

::

    states       every transition of both procedures, in two tables
    kinds        full, incremental, differential, copy: what each asks for
    transcript   what was called, and what came of it
    content      the content of one listed file, as a stream that cannot end early unnoticed
    backup       the nine steps of Q159838
    licence      the only thing that TruncateLogs accepts, and the seal check that makes it
    restore      register, place and complete, in the order of the dialect

Of `tokar.server` this part sees the contract alone (`base` and `codes`).
"""
