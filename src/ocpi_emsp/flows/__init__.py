"""All behaviour, as ``async def`` that imports no runtime: what a flow needs comes through a port (ports.py)."""
