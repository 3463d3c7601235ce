"""At a worker of a farm: fetches the revision, sets it up once, runs the program that runs a batch of tests.

Sent as text and loaded by `boot.py`. Only the standard library, Python 3.8 and newer. Its working
folder belongs to it alone: one batch runs there at a time.

    programs/<digest>.json         what Leuko sent, so that it need not be sent again
    mirrors/<digest>.git           what was fetched of a repository
    trees/<build>/                 checkout, home, tmp, setup.json: of one build of one line
"""
