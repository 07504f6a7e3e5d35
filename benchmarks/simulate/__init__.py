"""A month of notebooks and jobs, replayed in virtual time through the policy that the job service runs."""
