"""What the judge found as pictures: for the terminal, and as one page to look at, to print and to hand on.

timeline    the logs of all sets, stream by stream, on a line of generations
picture     all that the page shows, as values
chronicle   what was called while a set was made, and what became of it after the seal
render      the page: one file of HTML that loads nothing and runs nothing
"""
