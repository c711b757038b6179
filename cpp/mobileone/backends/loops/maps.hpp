// Feature maps in every layout without a border, and which one the loops choose.
#pragma once

#include <algorithm>
#include <cstdint>

#include "mobileone/plan/builder.hpp"

namespace mobileone::loops {

// [N, C, H, W] as runs of neighbouring channels of a pixel, one run after the other: all channels
// in nhwc, a block, or a single one in nchw.
struct MapView {
  std::int64_t images, channels, height, width;
  std::int64_t run;  // neighbouring channels of a pixel

  explicit MapView(const Value& value)
      : images(value.shape[0]),
        channels(value.shape[1]),
        height(value.shape[2]),
        width(value.shape[3]),
        run(value.layout.kind == Layout::Kind::blocked ? value.layout.block
            : value.layout.kind == Layout::Kind::nhwc  ? value.shape[1]
                                                       : 1) {}

  std::int64_t pixels() const { return height * width; }
  std::int64_t runs() const { return (channels + run - 1) / run; }
  // Index of a channel of a pixel.
  std::int64_t at(std::int64_t image, std::int64_t channel, std::int64_t row,
                  std::int64_t column) const {
    const std::int64_t pixel = (image * runs() + channel / run) * height + row;
    return (pixel * width + column) * run + channel % run;
  }
  // Channels of the run that begins with `channel` that are not padding.
  std::int64_t length(std::int64_t channel) const { return std::min(run, channels - channel); }
};

// Channels per block of the layout that oneDNN's convolutions like: 16 with AVX-512, 8 below.
int channel_block();

// Of a result: nhwc in a plan of loops alone. Among oneDNN's steps what their neighbours like:
// blocks when they are whole, else nhwc.
Layout map_layout(const PlanBuilder& builder, const Shape& shape);

// Of two maps with the same channels. One pixel's layout says nothing of how its channels lie
// beside other pixels: nhwc for both.
Layout layout_of_both(const PlanBuilder& builder, const Shape& from, const Shape& to);

// A node's map in a layout without padding, and the same with runs of more than one channel.
ValueId dense_map(PlanBuilder& builder, NodeId node);
ValueId map_with_runs(PlanBuilder& builder, NodeId node);

}  // namespace mobileone::loops
