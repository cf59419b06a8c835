"""Salvage: what is still whole of a damaged archive, sealed again (spec/format.md section 14).

* `find`: good records in damaged bytes, and whose they are; `runs`: records that follow each other, in little memory.
* `damage`: the damage map, which is everything good in the order of the original.
* `entry`: what is left of one file; `rebuild`: whether the original can be had again, else HEAD and SUMM of a new one.
* `copy`: what is left goes over; `losses`: the report; `salvage`: all of it in order.
"""
