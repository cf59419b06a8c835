"""What ESE files say of themselves: database, log and checkpoint headers, page checksums. Reads any seekable bytes.

The modules, from the bottom up::

    checksum       the two checksum algorithms over one block, in pure Python
    record         how a frozen dataclass declares the bytes it stands for; the only part that talks to construct
    values         LogPosition, LogTime, Signature, BackupInfo, Copies
    attachment     what a log or checkpoint says of its instance: the databases attached, paths and sizes
    database       DatabaseHeader          log          LogHeader, and the names of older formats
    checkpoint     Checkpoint              flushmap     FlushMap
    trailer        BackupTrailer: the last page of a streaming copy
    page           one page or segment: header, checksums, sealing
    identify       what kind of file this is, told from its content alone
    filenames      what a file's name claims
    content_facts  what checking pages or a log found, and what that comes to
    blocksums      the checksums of many blocks at once, with numpy
    pages          PageChecker; which bit of a page is wrong, or which page it is instead
    logcheck       LogChecker, for both formats
    inspect        all of this for one file
    show           the same for people, and as JSON

`identify` and `filenames` import neither construct nor numpy until a file has been recognised, because the command line
asks them about every file it meets; numpy is loaded only where content is checked.
"""
