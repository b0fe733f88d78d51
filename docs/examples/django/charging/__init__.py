"""Drivers, and what they charged."""
