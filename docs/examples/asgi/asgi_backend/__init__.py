"""An eMSP without a framework."""
