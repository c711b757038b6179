// What convolution and matrix product share: a panel of the inputs that a few output pixels (or
// rows) read is gathered once, then multiplied with every output channel's kernel.
#pragma once

#include <functional>

#include "mobileone/reference/arrays.hpp"

namespace mobileone::reference {

inline constexpr std::int64_t kPixels = 16;  // output pixels of a panel

// The least number of panels that is worth a thread.
inline std::int64_t panel_grain(std::int64_t terms, std::int64_t channels) {
  return 1 + 200000 / (kPixels * terms * channels);
}

// Calls store(channel, sums of the panel's pixels) for every output channel. weight [channels,
// terms], panel [terms, kPixels]; `bias` may be null. Terms are added in ascending order.
void multiply_panel(std::int64_t channels, std::int64_t terms, const double* weight,
                    const double* bias, const double* panel,
                    const std::function<void(std::int64_t, const double*)>& store);

}  // namespace mobileone::reference
