"""What runs on the machine that runs the tests. Standard library only, Python 3.8 and newer.

It is sent there as text (`leuko.verify.worker`), unpacked as the package `leuko_worker`, and imports nothing
of Leuko. `main` is the worker; `pytest_plugin`, `unittest_runner`, `forkserver` and `node_reporter.mjs` run
inside the customer's own test runners and tell each test through a named pipe.
"""
