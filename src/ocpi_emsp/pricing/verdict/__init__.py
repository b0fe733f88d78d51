"""Whether the total of a CDR is right, what would explain it if not; and what a plan would cost."""
