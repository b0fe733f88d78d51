"""Test doubles and tools shipped with the library; nothing outside this package imports it."""
