"""What a session is: no input or output, and no clock."""
