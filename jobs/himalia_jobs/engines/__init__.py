"""What runs containers: the contract (`base`), the Docker Engine of this machine (`docker`), one in memory for tests (`fake`)."""
