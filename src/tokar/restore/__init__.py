"""Restoring: the plan of where every file goes, which is pure, and placing, which decides nothing.

options      what is asked for          locations, paths   where tokens go, and what that means on this machine
inventory    what is there now          matching           which location takes a file
plan         the plan, as data          planner, targets   make it, and hold it against what is there
prepare      one archive or a chain     rollforward        logs that are there and stay
next_steps   what follows               place              carry it out: stager, workers, staging, journal
joined       sets and plans as one      second_look        what is there, just before the first rename
"""
