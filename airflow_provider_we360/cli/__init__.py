"""The command line: is this Connection good, from this machine, and how does this tenant's API answer?"""
