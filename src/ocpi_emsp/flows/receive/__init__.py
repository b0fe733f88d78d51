"""The eMSP interface, one module per module of the specification."""
