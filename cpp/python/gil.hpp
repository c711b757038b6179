// Giving up Python's global interpreter lock while the engine works.
#pragma once

#include <Python.h>
#include <cxxabi.h>
#include <unistd.h>

namespace mobileone::python {

// Without the GIL until the end of the scope. A daemon thread that comes back after the interpreter
// has begun to exit never gets it again: CPython below 3.14 ends such a thread by unwinding its
// stack, which aborts the process where it meets C++ that may not throw. The thread sleeps instead,
// as CPython 3.14 lets it, and the exit of the process ends it.
class GilRelease {
 public:
  GilRelease() : state_(PyEval_SaveThread()) {}
  ~GilRelease() {
    try {
      PyEval_RestoreThread(state_);
    } catch (const abi::__forced_unwind&) {
      for (;;) pause();
    }
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace mobileone::python
