"""What things cost: one file for each question (`python -m benchmarks.engine`), the micro-benchmarks (`make bench`), and RESULTS.md."""
