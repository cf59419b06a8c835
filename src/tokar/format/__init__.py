"""The archive format (spec/format.md): bytes on disk, and nothing of backups, directories or terminals.

records, bodies, index              layouts, limits, and what each record holds
canonical_json, metadata            HEAD, SUMM, PROC
compression, zstd_frame             how content is stored
writer, entry_writer, pipeline      files in, an archive out
scanner                             the grammar, read from the front
archive, entry_reader, verify       random access from the tail
small_entry                         small entries, written and proven in one go
"""
