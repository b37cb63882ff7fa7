"""One request, from the cookie that it came with to the one that it gives."""
