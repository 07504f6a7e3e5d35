"""How long the GPUs of leases have been idle, and who asked for them."""

from __future__ import annotations

from alembic import op

from himalia_jobs.store.tables import asks, watched

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables; a new database has them from the first step."""
    for table in (watched, asks):
        table.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
