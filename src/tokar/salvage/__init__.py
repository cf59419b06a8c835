"""Salvage: what is still whole of a damaged archive, sealed again (spec/format.md section 14)."""
