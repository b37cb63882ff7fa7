"""The demo: a page that shows its visitor's session, and what others cannot do."""
