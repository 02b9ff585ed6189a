"""Where the service keeps things: rows in one database, bytes in one blob store."""
