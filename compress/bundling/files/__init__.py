"""The programs of a bundle, which are copied into it as they are. They import nothing of the
toolkit."""
