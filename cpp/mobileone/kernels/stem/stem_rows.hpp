// Rows of a stem's map, one after the other.
#pragma once

#include "mobileone/kernels/stem/image_forms.hpp"
#include "mobileone/kernels/stem/image_pairs.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Zero-padded copies of the image rows that the next output row reads: row y of channel c lives in
/// slot y mod 3, whose pointer is to x = -1.
class ImageRows {
 public:
  static constexpr int kRows = 9;

  ImageRows(const StemPlan& plan, const float* image, float* storage)
      : plan_(plan), image_(image), storage_(storage) {
    for (std::ptrdiff_t i = 0; i < 9 * plan.row_floats(); i += kLanes) store(storage + i, zero());
  }

  /// Pointers for output row `row` into `rows`[3 ky + channel].
  void gather(int row, const float* rows[kRows]) {
    const int first = 2 * row - 1;
    for (int y = first > next_ ? first : next_; y < first + 3; ++y) copy(y);
    next_ = first + 3;
    for (int ky = 0; ky < 3; ++ky) {
      for (int channel = 0; channel < 3; ++channel)
        rows[3 * ky + channel] = slot(first + ky, channel);
    }
  }

 private:
  float* slot(int y, int channel) {
    return storage_ + ((y + 3) % 3 * 3 + channel) * plan_.row_floats() + kBlock - 1;
  }

  void copy(int y) {
    const bool inside = y >= 0 && y < plan_.height;
    for (int channel = 0; channel < 3; ++channel) {
      float* out = slot(y, channel) + 1;
      const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(plan_.width);
      const float* in = image_ + (std::ptrdiff_t{channel} * plan_.height + y) * plan_.width;
      if (inside) {
        __builtin_memcpy(out, in, bytes);
      } else {
        __builtin_memset(out, 0, bytes);
      }
    }
  }

  const StemPlan& plan_;
  const float* image_;
  float* storage_;
  int next_ = -1;  // first image row that has not been copied yet
};

/// What a stem of this build multiplies.
using StemRows = OfElement<ImageRows, ImagePairs>;

/// One output row of all channels; dst is its first pixel in block 0.
void stem_row(const StemPlan& plan, const float* packed, const float* const rows[StemRows::kRows],
              float* dst, std::ptrdiff_t dst_block);

/// What is left of `pixels` neighbours of a panel once they have a floor: other activations, and
/// zeros in padding.
void finish_stem_pixels(const StemPlan& plan, const Panel& panel, int pixels, float* dst,
                        std::ptrdiff_t dst_block);

/// A stem row by row.
class DirectStem {
 public:
  DirectStem(const StemPlan& plan, const float* packed, const float* image, float* scratch)
      : plan_(plan), packed_(packed), image_(plan, image, scratch) {}

  /// Rows [begin, end), none before those made so far; to(y) is row y's first pixel in block 0.
  template <typename To>
  void make(int begin, int end, std::ptrdiff_t dst_block, const To& to) {
    for (int y = begin; y < end; ++y) {
      const float* rows[StemRows::kRows];
      image_.gather(y, rows);
      stem_row(plan_, packed_, rows, to(y), dst_block);
    }
  }

 private:
  const StemPlan& plan_;
  const float* packed_;
  StemRows image_;
};

/// Neighbouring windows of a pair of rows, whose first one is even; of them both rows, or one.
struct WindowStrip {
  int pair;                // the even row
  int row_begin, row_end;  // of the two, those that are wanted
  int first, count;        // windows
  float* dst[2];           // each row's first output of the strip, in block 0
  std::ptrdiff_t dst_block;
};

/// A stem of float32 by windows (stem_windows.hpp).
class WindowedStem {
 public:
  WindowedStem(const StemPlan& plan, const float* packed, const float* image, float* scratch)
      : plan_(plan),
        packed_(packed),
        forms_(plan, image, scratch),
        partials_(scratch + forms_.parts().partials()) {
    for (int i = 0; i < kStemWindowForms; ++i) operands_[i] = scratch + forms_.parts().operand(i);
  }

  /// What all strips of a pair of rows read, first.
  void make_forms(int pair) const { forms_.make(pair); }
  /// plan.strip_windows() windows at most.
  void make_strip(const WindowStrip& strip) const;

  /// As DirectStem's.
  template <typename To>
  void make(int begin, int end, std::ptrdiff_t dst_block, const To& to) const {
    const int windows = ceil_div(plan_.out_width(), 2), most = plan_.strip_windows();
    for (int y = begin; y < end;) {
      const int pair = y - y % 2, stop = end < pair + 2 ? end : pair + 2;
      WindowStrip strip{pair, y - pair, stop - pair, 0, 0, {to(y), to(stop - 1)}, dst_block};
      make_forms(pair);
      for (; strip.first < windows; strip.first += strip.count) {
        strip.count = windows - strip.first < most ? windows - strip.first : most;
        make_strip(strip);
        for (float*& dst : strip.dst) dst += 2 * strip.count * kBlock;
      }
      y = stop;
    }
  }

 private:
  void make_panel(const WindowStrip& strip, int index) const;

  const StemPlan& plan_;
  const float* packed_;
  ImageForms forms_;
  const float* operands_[kStemWindowForms];  // of the products: the first window's, of channel 0
  float* partials_;
};

/// run(stem) with the kind of stem that the plan has.
template <typename Run>
void with_stem(const StemPlan& plan, const float* packed, const float* image, float* scratch,
               const Run& run) {
  if constexpr (kTraits.per_lane == 1) {
    if (plan.by_windows()) {
      WindowedStem stem(plan, packed, image, scratch);
      return run(stem);
    }
  }
  DirectStem stem(plan, packed, image, scratch);
  run(stem);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
