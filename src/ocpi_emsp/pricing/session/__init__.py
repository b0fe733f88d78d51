"""What a session measured: volumes, connector, time zone, and the tariffs that may apply to it."""
