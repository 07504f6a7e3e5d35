"""The job service: API, queue, ledger, runner, engines and stores."""
