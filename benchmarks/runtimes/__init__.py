"""MobileOne in this engine and in rival runtimes, on this CPU, under equal conditions.

`python -m benchmarks.runtimes --models mobileone_s0 --quick`; the protocol is in
docs/benchmarking.md.

A network is written once per input shape into a folder (`formats`), every engine opens it in a
process of its own (`engines`, `worker`), and the parent drives interleaved rounds (`harness`).
"""
