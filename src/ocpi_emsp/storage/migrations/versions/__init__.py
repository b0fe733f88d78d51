"""The scripts of Alembic, one for each revision; their rules stand in the package above."""
