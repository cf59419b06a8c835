"""Restoring: the plan of where every file goes, which is pure, and placing, which decides nothing.

options      what is asked for          locations, paths   where tokens go, and what that means on this machine
inventory    what is there now          matching           which location takes a file
plan         the plan, as data          planner, targets   make it, and hold it against what is there
chosen       what is taken from sets    rollforward        logs that are there and stay
prepare      sets and plans as one      onto_logs          judged with those logs
next_steps   what follows
place        carry it out: stager, ahead, workers, journal, staging and a second look at what is there
"""
