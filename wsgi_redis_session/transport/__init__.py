"""How a command reaches Redis: one server, a cluster, or a Sentinel's primary."""
