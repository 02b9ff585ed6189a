"""Tools for AI assistants over the Model Context Protocol: separate, status, download; on a server, or right here."""
