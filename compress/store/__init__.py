"""What is kept on disk: products under keys, prepared data, run folders, locks."""
