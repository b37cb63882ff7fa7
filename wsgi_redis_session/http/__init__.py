"""What the browser sends, and what it gets."""
