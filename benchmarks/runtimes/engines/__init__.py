"""One module per runtime, imported in the process that runs it and nowhere else.

Each has ``write(folder, threads)``, which turns the network in the folder into the runtime's own
format; ``Session(folder, x, threads, tune)``, which opens it with the runtime's best settings; and
``DISTRIBUTION``, the package that carries the runtime. `interface` has the types.
"""
