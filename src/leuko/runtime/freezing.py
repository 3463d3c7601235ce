"""What a revision may say itself, read from its tree and frozen under the installation's own file."""

from __future__ import annotations

import asyncio

from leuko.config.freeze import freeze
from leuko.config.loading import overlay_name
from leuko.config.model import Configuration
from leuko.vcs.landings import History


async def frozen_for(installation: Configuration, history: History, revision: str) -> Configuration:
    """The configuration of a revision's build or push; ConfigurationInvalid where its file is wrong."""
    name = installation.revision_file
    text = await history.show_file(revision, name)
    over = await history.show_file(revision, overlay_name(name, installation.environment)) if text else None
    called = f"{name}@{revision[:12]}"
    return (await asyncio.to_thread(freeze, installation, text, called, over)).configuration
