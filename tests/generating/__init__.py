"""Tests of the generators: strategies, payloads, the plugin, the contract of a backend, and our own laws."""
