"""What the judge found as pictures.

timeline    the logs of all sets, stream by stream, on a line of generations
"""
