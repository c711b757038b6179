// Exceptions of the engine. Messages read "[where] what was found; what was expected".
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace mobileone {

// A bad argument, weight or graph. Becomes ValueError in Python.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A computation that left the finite numbers. Becomes FloatingPointError.
class NotFinite : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A valid request that the engine does not cover. Becomes NotImplementedError in Python.
class NotSupported : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// The process is in a state in which the request cannot be served. Becomes RuntimeError.
class StateError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Concatenates its arguments with operator<<; GCC 12 has no std::format. Cold, and so are the paths
// that lead to it: a start brings in no pages of messages.
template <typename... Args>
[[gnu::cold]] std::string concat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

}  // namespace mobileone
