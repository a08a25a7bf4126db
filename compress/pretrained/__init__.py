"""Models from outside: what their folders hold, which families there are, which special tokens they
have."""
