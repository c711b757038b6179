// What a stem by windows multiplies: forms of five image rows.
#pragma once

#include "mobileone/kernels/simd/deinterleave.hpp"
#include "mobileone/kernels/simd/lanes.hpp"
#include "mobileone/kernels/stem/stem.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Of each form of rows and each channel three lines, in which windows are two floats apart: even
/// columns; odd ones; and the difference from an odd one to the one before.
class ImageForms {
 public:
  ImageForms(const StemPlan& plan, const float* image, float* scratch)
      : plan_(plan), parts_(plan.out_width(), plan.width), image_(image), scratch_(scratch) {
    float* const zeros = scratch + parts_.zeros();
    for (std::ptrdiff_t i = 0; i < parts_.zero_row; i += kLanes) store(zeros + i, zero());
  }

  const StemWindowScratch& parts() const { return parts_; }

  /// Forms of the five rows that output rows `row`, an even one, and row + 1 read.
  void make(int row) const {
    for (int channel = 0; channel < kImageChannels; ++channel) {
      const float* rows[5];
      for (int i = 0; i < 5; ++i) rows[i] = image_row(2 * row - 1 + i, channel);
      make_lines(rows, scratch_ + parts_.forms() + channel * parts_.line);
    }
  }

  /// Brings parts [begin, end) of `parts` of what make(row) reads and make(row - 2) does not: a
  /// picture of 224 x 224 that is not in L3 would cost 40 us.
  void prefetch(int row, int begin, int end, int parts) const {
    constexpr int kRows = 4 * kImageChannels;
    for (int i = kRows * begin / parts; i < kRows * end / parts; ++i) {
      const int y = 2 * row + i / kImageChannels;
      if (y >= plan_.height) return;
      const float* const pixels = image_row(y, i % kImageChannels);
      for (int x = 0; x < plan_.width; x += kBlock) prefetch_l2(pixels + x);
    }
    asm volatile("");  // GCC drops calls of a function that does nothing but prefetch
  }

 private:
  const float* image_row(int y, int channel) const {
    if (y < 0 || y >= plan_.height) return scratch_ + parts_.zeros();
    return image_ + (std::ptrdiff_t{channel} * plan_.height + y) * plan_.width;
  }

  // The lines of a channel's rows.
  void make_lines(const float* const (&rows)[5], float* to) const {
    const int width = plan_.width, columns = 2 * plan_.out_width();
    const std::ptrdiff_t step = parts_.form(0, 1);
    Vec before[StemWindowScratch::kRowForms] = {};  // odd columns: none is before the first
    for (int x = 0; x < columns; x += 2 * kLanes, to += kLanes) {
      if (x + 2 * kLanes <= width) {
        make_columns([=](const float* row, int i) { return load(row + x + i); }, rows, before, to,
                     step);
      } else {
        const int left = width - x;
        const auto part = [=](const float* row, int i) {
          return load_lanes(row + x + i, 0, left - i);
        };
        make_columns(part, rows, before, to, step);
      }
    }
  }

  // The same of 2 kLanes columns; part(row, i) is a vector of them from i on.
  template <typename Part>
  __attribute__((always_inline)) static void make_columns(
      const Part& part, const float* const (&rows)[5], Vec (&before)[StemWindowScratch::kRowForms],
      float* to, std::ptrdiff_t step) {
    Vec even[5], odd[5];
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      const Vec low = part(rows[i], 0), high = part(rows[i], kLanes);
      even[i] = even_lanes(low, high);
      odd[i] = odd_lanes(low, high);
    }
    const Vec even_form[] = {sub(even[0], even[2]), even[1], sub(even[4], even[2]), even[3],
                             even[2]};
    const Vec odd_form[] = {sub(odd[0], odd[2]), odd[1], sub(odd[4], odd[2]), odd[3], odd[2]};
#pragma GCC unroll 5
    for (int form = 0; form < StemWindowScratch::kRowForms; ++form, to += step) {
      store(to, even_form[form]);
      store(to += step, odd_form[form]);
      store(to += step, sub(shift_in(before[form], odd_form[form]), odd_form[form]));
      before[form] = odd_form[form];
    }
  }

  const StemPlan& plan_;
  StemWindowScratch parts_;
  const float* image_;
  float* scratch_;
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
