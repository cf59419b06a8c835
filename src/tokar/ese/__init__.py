"""What ESE files say of themselves: database, log and checkpoint headers, page checksums. Reads any seekable bytes.

The modules, from the bottom up::

    errors       HeaderError, MissingExtraError
    checksum     the two checksum algorithms over one block, in pure Python
    layout       how a frozen dataclass declares the bytes it stands for; the only part that talks to construct
    common       LogPosition, LogTime, Signature, BackupInfo, Copies
    attachment   which databases a log belongs to; environment: paths and sizes of the instance that wrote it
    database     DatabaseHeader          log          LogHeader
    checkpoint   Checkpoint              flushmap     FlushMap
    page         one page or segment: header, checksums, sealing
    identify     what kind of file this is, told from its content alone
    filenames    what a file's name claims

`identify` and `filenames` import neither construct nor numpy until a file has been recognised, because the command line asks them
about every file it meets.
"""
