// Feature maps whose channels lie in runs one after another: what our own loops walk through.
#pragma once

#include <algorithm>
#include <cstdint>

#include "mobileone/plan/builder.hpp"

namespace mobileone::onednn {

// [N, C, H, W] in nhwc (one run of all channels) or in blocks (one run per block).
struct MapView {
  std::int64_t images, channels, height, width;
  std::int64_t run;  // neighbouring channels of a pixel

  explicit MapView(const Value& value)
      : images(value.shape[0]),
        channels(value.shape[1]),
        height(value.shape[2]),
        width(value.shape[3]),
        run(value.layout.kind == Layout::Kind::blocked ? value.layout.block : value.shape[1]) {}

  // Index of the first float of the run that begins with `channel`.
  std::int64_t at(std::int64_t image, std::int64_t channel, std::int64_t row,
                  std::int64_t column) const {
    const std::int64_t runs = (channels + run - 1) / run;
    return (((image * runs + channel / run) * height + row) * width + column) * run;
  }
  // Channels from `channel` on that are not padding.
  std::int64_t length(std::int64_t channel) const { return std::min(run, channels - channel); }
};

}  // namespace mobileone::onednn
