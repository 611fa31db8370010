"""Writes straight to a socket: the system call, and nothing around it while the transport has nothing left to write."""

cimport cython

from stream.feed.delivery cimport Outbox

from stream.feed.delivery import Traffic

cdef extern from "sys/socket.h" nogil:
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
    ssize_t send(int fd, const void* data, size_t size, int flags)

cdef extern from "Python.h":
    char* PyBytes_AS_STRING(bytes data)

cdef enum:
    NO_SOCKET = -1


@cython.final
cdef class SocketWriter:
    """One connection's writes. What the kernel does not take goes through the transport, which waits, pauses, and finds out what is wrong."""

    cdef int fd
    cdef bint clear             # the transport holds nothing
    cdef object buffered
    cdef object write_rest

    def __init__(self, transport: object) -> None:
        self.fd = transport.get_extra_info("socket").fileno() if transport.get_extra_info("ssl_object") is None else NO_SOCKET
        self.clear = False
        self.buffered = transport.get_write_buffer_size
        self.write_rest = transport.write

    cpdef int write(self, bytes data) except -1:
        """Write all of it, after all that was written before."""
        cdef ssize_t sent
        if self.write_rest is None:
            return 0
        if not self.clear and self.fd != NO_SOCKET:
            self.clear = not self.buffered()
        if self.clear:
            sent = send(self.fd, PyBytes_AS_STRING(data), len(data), MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent == len(data):
                return 0
            self.clear = False
            if sent > 0:
                data = data[sent:]
        self.write_rest(data)
        return 0

    def pause(self) -> None:
        """The transport holds something."""
        self.clear = False

    def detach(self) -> None:
        """Write no more: the transport closes the socket, whose number may soon be another one's."""
        self.fd = NO_SOCKET
        self.clear = False
        self.write_rest = None


def write_all(traffic: Traffic) -> list[Outbox]:
    """Write what everybody has to say who can be written to; who is closed, or has a writer of another kind."""
    cdef Outbox outbox
    cdef list others = []
    for outbox in traffic.take_waiting():
        if outbox.closed is not None:
            others.append(outbox)
        elif isinstance(outbox.writer, SocketWriter):
            if outbox.writable and outbox.said is not None:
                (<SocketWriter>outbox.writer).write(outbox.take_out())
        elif outbox.writer is not None:
            others.append(outbox)
    traffic.forget()
    return others
