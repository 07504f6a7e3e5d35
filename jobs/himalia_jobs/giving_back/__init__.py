"""Giving back: GPUs that nobody uses, servers that grow too old, and people who ask.

words      what is known of a lease, what holds for it, and what is decided
deciding   (leases, what was seen, settings) -> what to do: pure functions
activity   what the kernels of servers do, asked without keeping the servers active
measuring  how long the GPUs of each lease have been idle
told       the sentences that people read
writing    making a decision true in the database
ending     stopping servers through the hub
asking     asking a holder to give a GPU back
keeper     all of it, round by round
"""
