"""Entry points: the waymark command, settings, servers, worker processes, the demo."""
