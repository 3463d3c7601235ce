# How the master is started (by twistd). Its settings are in master.cfg.
import os

from buildbot.master import BuildMaster
from twisted.application import service

basedir = os.path.abspath(os.path.dirname(__file__))
application = service.Application('buildmaster')  # Buildbot looks for these very letters
BuildMaster(basedir, "master.cfg", umask=0o077).setServiceParent(application)
