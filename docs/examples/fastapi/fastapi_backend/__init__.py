"""A FastAPI project with an eMSP in it."""
