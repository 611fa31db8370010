"""The least that a fan-out can cost: a loop of `send` to so many connections, so many times a second, and nothing else.

A C program where there is a compiler, else this module as a program: `connections bytes period_ns`. It prints its port, takes
the connections, and sends frames whose last 8 bytes are the monotonic clock, until it is killed.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import compiler
from stream.wire.framing import BINARY, framed

_C = r"""
#include <arpa/inet.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <vector>

int main(int, char** arguments) {
    int count = atoi(arguments[1]), one = 1;
    size_t size = strtoul(arguments[2], nullptr, 10), head = size < 128 ? 2 : size < 65540 ? 4 : 10;
    long period = atol(arguments[3]);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (sockaddr*)&address, length) || listen(listener, 1024)) return 1;
    getsockname(listener, (sockaddr*)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    std::vector<int> connections(count);
    for (int& connection : connections) {
        connection = accept(listener, nullptr, nullptr);
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    std::vector<unsigned char> frame(size);
    uint64_t payload = size - head;
    frame[0] = 0x82;
    frame[1] = head == 2 ? payload : head == 4 ? 126 : 127;
    for (size_t i = 2; i < head; i++) frame[i] = payload >> 8 * (head - 1 - i);
    timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        next.tv_nsec += period;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t stamp = now.tv_sec * 1000000000ull + now.tv_nsec;
        for (int i = 0; i < 8; i++) frame[size - 1 - i] = stamp >> 8 * i;
        for (int connection : connections) send(connection, frame.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}
"""


def build(into: Path) -> list[str]:
    """The program's command: compiled if that is possible."""
    command = compiler()
    if command is None:
        return [sys.executable, "-m", "benchmarks.bare_send"]
    source, program = into / "bare_send.cpp", into / "bare_send"
    source.write_text(_C)
    subprocess.run([command, "-O2", "-std=c++17", "-o", str(program), str(source)], check=True)
    return [str(program)]


def main(connections: int, size: int, period_ns: int) -> None:
    """The same in Python."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        taken = [listener.accept()[0] for _ in range(connections)]
    for connection in taken:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = 2 if size < 128 else 4 if size < 65540 else 10
    frame = bytearray(framed(BINARY, bytes(size - head)))
    due = time.monotonic_ns()
    while True:
        due += period_ns
        time.sleep(max(0, due - time.monotonic_ns()) / 10**9)
        frame[-8:] = time.monotonic_ns().to_bytes(8)
        for connection in taken:
            connection.send(frame, socket.MSG_DONTWAIT)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
