// The microkernel of convolutions that read maps in place: pixels of one row, all taps.
#pragma once

#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// One tap of one source: pixel i, channel 16 b + c at a[b * a_block + 16 step i + c].
struct Segment {
  const float* a;
  std::ptrdiff_t a_block;
  int k_blocks;
  int last_steps = 4;         // steps of four channels in the last block: the rest are padding
  std::ptrdiff_t b_skip = 0;  // floats of b between the segment before and this one
};

/// Steps of four in the last of the blocks that hold `channels`.
constexpr int last_steps(int channels) { return ceil_div((channels - 1) % kBlock + 1, 4); }

constexpr int kMaxSegments = 18;  // nine taps of two sources

/// A run of neighbouring output pixels, for one panel.
struct PixelRun {
  Segment segments[kMaxSegments];
  int num_segments = 0;
  std::ptrdiff_t shift = 0;    // floats from a segment's first pixel to the run's
  const float* b = nullptr;    // [k][lanes * vectors], k through all segments
  const float* row = nullptr;  // bias
  const float* prefetch = nullptr;
  float floor = 0.0f;
  float ceiling = __builtin_inff();
  float* dst = nullptr;
  std::ptrdiff_t dst_block = 0;
};

using ConvRun = void (*)(const PixelRun&);

/// The instance for `pixels` x `vectors` (1 <= pixels <= max_pixels(vectors)); `step`, 1 or 2, is
/// how many pixels of the source one is from the next.
ConvRun find_conv_run(int pixels, int vectors, int step = 1);

}  // namespace mobileone::kernels::MOBILEONE_ISA
