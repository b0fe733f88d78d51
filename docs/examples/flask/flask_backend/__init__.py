"""A Flask project with an eMSP in it."""
