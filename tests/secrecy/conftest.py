"""What the tests of secrets share with those of the command."""

from cli.conftest import command

__all__ = ["command"]
