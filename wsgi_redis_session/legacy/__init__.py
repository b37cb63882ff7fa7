"""Sessions that another library has stored; imported only where they are adopted."""
