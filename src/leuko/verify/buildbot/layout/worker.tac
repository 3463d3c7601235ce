# A worker of a farm that runs tests for Leuko. Written by `leuko farm init`; it is yours now.
# To use another machine: copy this folder there, set HOST to the master's address, start it with
#   buildbot-worker start .        (pip install buildbot-worker==$version)
# Run it as a user that owns nothing: the tests of every commit run as this user.
import os

from buildbot_worker.bot import Worker
from twisted.application import service

basedir = os.path.abspath(os.path.dirname(__file__))

HOST = $host
PORT = $port
NAME = $name

with open(os.path.join(basedir, "password"), encoding="utf-8") as file:
    password = file.read().strip()

application = service.Application('buildbot-worker')  # Buildbot looks for these very letters
it = Worker(
    HOST, PORT, NAME, password, basedir, keepalive=30, umask=0o022, maxdelay=5,
    delete_leftover_dirs=False, unicode_encoding="utf-8",
)
# Output goes to the master at once instead of every five seconds: results are seen live. (What Leuko runs there
# writes a few times a second at most, and less often the more workers there are.)
it.bot.buffer_timeout = 0.05
it.setServiceParent(application)
