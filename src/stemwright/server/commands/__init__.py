"""The service's commands. Each speaks JSON when asked to, and is imported when it is called."""

from stemwright.server.commands.processes import backup, maintenance, migrate, serve, worker

__all__ = ["backup", "maintenance", "migrate", "serve", "worker"]
