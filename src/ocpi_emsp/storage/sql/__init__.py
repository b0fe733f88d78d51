"""SqlStore, and the tables that it uses. Needs the extra ``sql``; nothing is imported here, its parts are."""
