"""The scripts of Alembic, one for each revision; what they keep to stands in the package above."""
