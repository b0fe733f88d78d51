"""What a backend lives through with its partners: two workers on one store, over real HTTP, killed in the middle."""
