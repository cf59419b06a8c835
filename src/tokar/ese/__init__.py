"""What ESE files say of themselves: database, log and checkpoint headers, page checksums. Reads any seekable bytes.

The modules, from the bottom up::

    errors       HeaderError, MissingExtraError
    checksum     the two checksum algorithms over one block, in pure Python
    record       how a frozen dataclass declares the bytes it stands for; the only part that talks to construct
    values       LogPosition, LogTime, Signature, BackupInfo, Copies
    attachment   which databases a log belongs to; environment: paths and sizes of the instance that wrote it
    database     DatabaseHeader          log          LogHeader
    checkpoint   Checkpoint              flushmap     FlushMap
    page         one page or segment: header, checksums, sealing
    trailer      BackupTrailer: the last page of a streaming copy; empty patch files
    loglink      whether one log continues another
    pagereport, pagefaults    what checking pages found; which bit, or which page it is instead
    logreport                 what checking a log found
    identify     what kind of file this is, told from its content alone
    filenames    what a file's name claims

and, with numpy (the extra `tokar[ese]`)::

    numeric, blocksums        numpy, and the checksums of many blocks at once
    pages        PageChecker, check_pages
    logcheck     LogChecker, check_log; segments (format 8) and ranges (format 7) do the work

`identify` and `filenames` import neither construct nor numpy until a file has been recognised, because the command line
asks them about every file it meets.
"""
