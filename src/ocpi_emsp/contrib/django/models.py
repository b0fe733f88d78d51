"""No models: the tables are the library's own. Django sends ``post_migrate`` to apps that have this module."""
