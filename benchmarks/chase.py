"""What one memory access costs that must wait for the one before it, at random in so many bytes: a C program, where there is a compiler."""

import subprocess
from pathlib import Path

from benchmarks.machine import compiler

_C = r"""
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

struct Line { Line* next; char rest[56]; };

static int64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int main(int, char** arguments) {
    size_t lines = strtoull(arguments[1], nullptr, 10) / sizeof(Line), accesses = 1 << 20;
    if (lines < 2) lines = 2;
    void* memory;
    if (posix_memalign(&memory, sizeof(Line), lines * sizeof(Line))) return 1;
    memset(memory, 0, lines * sizeof(Line));
    Line* line = (Line*)memory;
    size_t* order = (size_t*)malloc(lines * sizeof(size_t));
    uint64_t state = strtoull(arguments[2], nullptr, 10);
    for (size_t i = 0; i < lines; i++) order[i] = i;
    for (size_t i = lines - 1; i; i--) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        size_t j = (state >> 33) % (i + 1), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    for (size_t i = 0; i < lines; i++) line[order[i]].next = &line[order[(i + 1) % lines]];
    free(order);
    Line* at = line;
    for (size_t i = 0; i < lines && i < accesses; i++) at = at->next;
    int64_t start = now();
    for (size_t i = 0; i < accesses; i++) at = at->next;
    double elapsed = now() - start;
    printf("%.2f %p\n", elapsed / accesses, (void*)at);
}
"""


def build(into: Path) -> Path | None:
    """The program, or None without a compiler."""
    command = compiler()
    if command is None:
        return None
    source, program = into / "chase.cpp", into / "chase"
    source.write_text(_C)
    subprocess.run([command, "-O2", "-std=c++17", "-o", str(program), str(source)], check=True)
    return program


def run(program: Path, size: int, seed: int) -> float:
    """ns an access within `size` bytes."""
    return float(subprocess.run([program, str(size), str(seed)], check=True, capture_output=True, text=True).stdout.split()[0])
