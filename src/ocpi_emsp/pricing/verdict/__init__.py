"""Whether the total of a CDR is right, what would explain a wrong one, and what a plan would cost."""
