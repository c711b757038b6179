// Operators whose result is a window of their input, or the other way round.
#pragma once

#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

inline Window window_of(const Slice& slice, const Shape& result) {
  Window window = whole_window(result);
  window.offset[static_cast<std::size_t>(slice.axis)] = slice.start;
  window.step[static_cast<std::size_t>(slice.axis)] = slice.step;
  return window;
}

inline Window window_of(const Pad& pad, const Shape& source) {
  Window window = whole_window(source);
  window.offset = pad.before;
  return window;
}

// Of one input, whose first element along the axis that is.
inline Window window_of(const Concat& join, const Shape& source, std::int64_t first) {
  Window window = whole_window(source);
  window.offset[static_cast<std::size_t>(join.axis)] = first;
  return window;
}

}  // namespace mobileone::loops
