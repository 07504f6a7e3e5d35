"""What people are told in Lab, and may answer."""

from __future__ import annotations

from alembic import op

from himalia_jobs.store.tables import notices

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table; a new database has it from the first step."""
    notices.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    """Leave it: an older service does not look at it."""
