"""Two installed builds of this package beside each other: the same bits, the same speed?

    python -m benchmarks.builds bits OLD_PYTHON NEW_PYTHON
    python -m benchmarks.builds speed OLD_PYTHON NEW_PYTHON

Each build is given by the Python interpreter that it is installed for, and used through its public
API alone, in processes of its own. See docs/benchmarking.md.
"""
