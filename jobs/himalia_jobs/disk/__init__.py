"""Limits of the disk: what jobs write, what homes and storages take, and what is kept free; watched, told and held."""
