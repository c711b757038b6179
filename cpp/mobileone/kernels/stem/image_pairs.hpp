// What a stem of bfloat16 multiplies: rows of pairs, one pair per output column.
#pragma once

#include "mobileone/kernels/simd/element.hpp"
#include "mobileone/kernels/simd/lanes.hpp"
#include "mobileone/kernels/stem/stem.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// The image rows that the next output row reads, as the pairs of kStemPairs: five rows of an image
/// row y, in slot y mod 3.
class ImagePairs {
 public:
  static constexpr int kRows = kStemPairs;

  ImagePairs(const StemPlan& plan, const float* image, float* storage)
      : plan_(plan), image_(image), pairs_(storage) {}

  /// Pointers for output row `row` into `rows`[5 ky + pair].
  void gather(int row, const float* rows[kRows]) {
    const int first = 2 * row - 1;
    for (int y = first > next_ ? first : next_; y < first + 3; ++y) convert(y);
    next_ = first + 3;
    for (int ky = 0; ky < 3; ++ky) {
      for (int pair = 0; pair < kRowPairs; ++pair) {
        rows[kRowPairs * ky + pair] = slot(first + ky, pair);
      }
    }
  }

 private:
  static constexpr int kRowPairs = kStemPairs / 3;

  float* slot(int y, int pair) const {
    return pairs_ + ((y + 3) % 3 * kRowPairs + pair) * plan_.pair_floats();
  }

  // Pairs from column -1 on, the first output's column 0; what is beyond the image is 0. A row that
  // is not in the image has the width -1.
  static void round_row(const float* row, int width, int columns, float* out) {
    store_bfloat16(out, load_lanes(row - 1, 1, width + 1));
    int x = kLanes - 1;
    for (; x + kLanes <= width; x += kLanes) store_bfloat16(out += kLanes / 2, load(row + x));
    for (; x + 1 < columns; x += kLanes) {
      store_bfloat16(out += kLanes / 2, load_lanes(row + x, 0, width - x));
    }
  }

  void convert(int y) {
    const bool inside = y >= 0 && y < plan_.height;
    const int columns = 2 * (plan_.out_width() + 1);
    for (int channel = 0; channel < kImageChannels; ++channel) {
      const float* in = image_ + (std::ptrdiff_t{channel} * plan_.height + y) * plan_.width;
      round_row(in, inside ? plan_.width : -1, columns, slot(y, channel));
    }
    // An output's column 2 is the next one's column 0.
    const float* const red = slot(y, 0) + 1;
    const float* const green = slot(y, 1) + 1;
    const float* const blue = slot(y, 2) + 1;
    float* const both = slot(y, 3);
    float* const last = slot(y, 4);
    for (int x = 0, width = plan_.out_width(); x < width; x += kLanes) {
      store(both + x, even_numbers(load(red + x), load(green + x)));
      store(last + x, even_numbers(load(blue + x), zero()));
    }
  }

  const StemPlan& plan_;
  const float* image_;
  float* pairs_;   // [slot][pair][pair_floats]
  int next_ = -1;  // first image row that has not been converted yet
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
