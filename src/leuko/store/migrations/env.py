"""Called by alembic, which `migrate` calls: runs on the connection handed over, in its transaction."""

from __future__ import annotations

from alembic import context

from leuko.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
