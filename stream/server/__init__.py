"""The only room with the sockets of clients. It accepts connections, reads and writes them, answers HTTP, and hands everything else to a venue."""
