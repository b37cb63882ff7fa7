"""What Redis holds; nothing else knows a key or a script."""
