"""Adapters translate between a server interface and the library, nothing else."""
