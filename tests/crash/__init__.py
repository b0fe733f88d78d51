"""Crash safety, with real processes: servers that are killed, databases that stop, disks that are full."""
