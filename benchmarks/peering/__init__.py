"""Peers on the same machine: what each does with the same script, the same notebook and the same directory."""
