"""The one room with sockets of clients: it lets connections in, reads and writes them, answers HTTP, and hands everything else to a venue."""
