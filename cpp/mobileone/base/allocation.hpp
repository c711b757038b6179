// Memory that the system does not give.
#pragma once

#include <cstddef>
#include <new>
#include <string>

namespace mobileone {

// Becomes MemoryError in Python, with this message.
class AllocationError : public std::bad_alloc {
 public:
  AllocationError(const std::string& where, std::size_t bytes)
      : text_("[" + where + "] " + std::to_string(bytes) +
              " bytes of memory asked for, more than the system gives") {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

}  // namespace mobileone
