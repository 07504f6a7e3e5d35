"""Hostile inputs: what somebody sends, and what jobs do, each with the answer that is expected."""
