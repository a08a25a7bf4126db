"""What answers for a task with numpy and tokenizers alone. Tasks import from these modules, and a
bundle holds one of them as its ``answering.py``: so a model out of the door answers by the same
code. They import nothing of the toolkit, nor each other."""
