"""What is kept for the backend, and what it does with it, thing by thing. Each thing in two modes.

Rules of this package:
- each method is one line over a flow; the context is asked for at every call, so that hooks which were registered
  meanwhile count.
"""
