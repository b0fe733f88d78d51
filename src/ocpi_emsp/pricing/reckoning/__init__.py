"""What a session costs under one tariff: exactly, or between two bounds."""
