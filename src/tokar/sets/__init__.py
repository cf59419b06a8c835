"""What the files of a set say together: can each database be recovered, how do sets form chains. Nothing is written.

The modules, from the bottom up::

    facts             what every file of a set says of itself: SetFacts
    recorded          the same from the facts that an archive keeps, and writes those
    read              makes the facts of an archive or a folder
    need              which logs a database needs, and why
    faults            what is wrong, the files concerned, the error that follows, the next step
    file_faults       what is wrong with a database or a log by itself
    links             whether one log continues another
    compared          whether a log that was being written is the beginning of a copy of it
    logs              logs by generation, of a set or of several
    database_verdict  what becomes of one database, in a word and with what it rests on
    database_run      one database and the logs that are played onto it
    judge             the verdict on a set
    outcome           what a verdict comes to, in five words: the last line

and for several sets::

    receipt           what happened after an archive was sealed
    backup_set        one set, from its archive or its receipt; finds all sets in folders
    start             a set with databases, and the logs of all sets that can be played onto it
    chain             how sets fit together: what each can be restored with, and why not
    choose            what a restore places, from which sets
"""
