"""The eMSP over real HTTP, under several servers."""
