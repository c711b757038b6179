// What a stem of bfloat16 multiplies: rows of pairs, one pair per output column.
#pragma once

#include "mobileone/kernels/simd/element.hpp"
#include "mobileone/kernels/stem/stem.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// The image rows that the next output row reads, as the pairs of kStemPairs: five rows of an image
/// row y, in slot y mod 3.
class ImagePairs {
 public:
  static constexpr int kRows = kStemPairs;

  ImagePairs(const StemPlan& plan, const float* image, float* storage)
      : plan_(plan),
        image_(image),
        wide_(storage + kBlock),
        pairs_(wide_ + 2 * plan.pair_floats()) {
    clear();
  }

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
  void clear() {
    for (std::ptrdiff_t i = -kBlock; i < 2 * plan_.pair_floats(); i += kLanes)
      store(wide_ + i, zero());
  }

  void convert(int y) {
    const bool inside = y >= 0 && y < plan_.height;
    if (!inside) clear();
    for (int channel = 0; channel < kImageChannels; ++channel) {
      const float* in = image_ + (std::ptrdiff_t{channel} * plan_.height + y) * plan_.width;
      if (inside) {
        __builtin_memcpy(wide_, in, sizeof(float) * static_cast<std::size_t>(plan_.width));
      }
      // The first output's column 0 is the image's -1.
      store_tile(wide_ - 1, slot(y, channel), 2 * plan_.pair_floats());
    }
    // An output's column 2 is the next one's column 0.
    const float* const red = slot(y, 0) + 1;
    const float* const green = slot(y, 1) + 1;
    const float* const blue = slot(y, 2) + 1;
    for (int x = 0; x < plan_.out_width(); x += kLanes) {
      store(slot(y, 3) + x, even_numbers(load(red + x), load(green + x)));
      store(slot(y, 4) + x, even_numbers(load(blue + x), zero()));
    }
  }

  const StemPlan& plan_;
  const float* image_;
  float* wide_;    // an image row of one channel, with zeros before and after it
  float* pairs_;   // [slot][pair][pair_floats]
  int next_ = -1;  // first image row that has not been converted yet
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
