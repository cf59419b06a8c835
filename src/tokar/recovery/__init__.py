"""What the files of a set say together: is each database recoverable, and how do sets form chains. Pure judgement, no writing.

The modules, from the bottom up::

    enginecodes   the engine's errors that a fault leads to, with names
    faults        Fault: what is wrong, the files concerned, the error that follows, the next step
    facts         what every file of a set says of itself: SetFacts
    survey        reads those facts from an archive or a folder
    logrun        the logs of one stream in order: present, linked, forked
    needs         which logs a database needs, and why
    content       faults that one file has by itself
    recoverability   the verdict for each database of a set
    chainfaults, chainmodel   what is said of a chain: members, tree, selection
    chain         how several sets fit together, and which of them reach a target
"""
