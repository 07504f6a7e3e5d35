"""Seats and slices of GPUs, and the modes that administrators give them."""

from __future__ import annotations

from alembic import op

from himalia_jobs.migrations.lacking import add_columns
from himalia_jobs.store.tables import gpu_modes, lease_slots, slots

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what is lacking; a new database has it all from the first step."""
    gpu_modes.create(op.get_bind(), checkfirst=True)
    add_columns(slots, "parent", "mig_profile", "seats", "auto")
    add_columns(lease_slots, "budget_bytes")


def downgrade() -> None:
    """Leave them: an older service does not look at them."""
