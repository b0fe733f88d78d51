"""The Send port over HTTP libraries; one module per library."""
