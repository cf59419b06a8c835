"""What the files of a set say together: is each database recoverable, and how do sets form chains. Pure judgement, no writing.

The modules, from the bottom up::

    enginecodes      the engine's errors that a fault leads to, with their names
    faults           Fault: what is wrong, the files concerned, the error that follows, the next step
    facts            what every file of a set says of itself: SetFacts
    survey           reads those facts from an archive or a folder
    needs            which logs a database needs, and why
    content          faults that one file has by itself
    logrun           the logs of a set by generation, and whether one continues the other; logfaults words what is wrong
    verdict          DatabaseVerdict, SetVerdict
    databaserun      one database and the logs that are played onto it
    setlogs, beside  logs that no database needs; checkpoints, flush maps, patch files
    recoverability   judge: the verdict on a set

and for several sets::

    member, shelf    one set, from its archive or its receipt; all sets in folders
    chainlogs        the logs of all sets, and runs of them
    base             a set with databases, and what the other sets add to it
    chainfaults      whether a set of a chain can be restored, and if not, why
    chain            build_chain: Chain
    selection        ChainSelection: what a restore places, from which sets
    restorable       restorable: the selection for a target, or the reason why there is none
"""
