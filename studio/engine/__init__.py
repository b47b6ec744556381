"""The engine as the web process sees it: started, watched, asked; and the tokenizer's small process."""
