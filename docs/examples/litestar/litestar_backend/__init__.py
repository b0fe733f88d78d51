"""A Litestar project with an eMSP in it."""
