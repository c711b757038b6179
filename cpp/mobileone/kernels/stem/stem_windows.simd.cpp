#include "mobileone/kernels/stem/stem_windows.hpp"

#include <algorithm>

#include "mobileone/kernels/pointwise/microkernel.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"
#include "mobileone/kernels/simd/instances.hpp"
#include "mobileone/kernels/stem/stem_rows.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

using stem_windows::kOfOutput;
using stem_windows::kOfU;
using stem_windows::kOfV;

/// Neighbouring windows, for one panel.
struct WindowGroup {
  const float* const* forms;  // [kStemWindowForms], of the row's first window, channel 0
  std::ptrdiff_t shift;       // floats from the first window to these
  std::ptrdiff_t channel;     // from one channel to the next
  const float* b;             // [products][lanes * vectors]
  const float* bias;
  float* partials;  // [kPartials][kMostFloats]
  float floor;
  int row_begin, row_end;  // of the window's outputs, those that are wanted
  int columns;             // the same
  float* dst[2];           // of the rows: the first window's first output
  std::ptrdiff_t dst_block;
};

/// Windows of a group whose sums and V leave registers for a form's weights and a pixel; where
/// there are too few registers, V goes through memory.
constexpr bool kHoldsV = kTraits.registers == 32;
constexpr int max_windows(int vectors) {
  if (!kHoldsV) return max_pixels(vectors);
  return vectors == 1 ? 14 : vectors == 2 ? 7 : 4;
}

/// The products of a form, those of the last channel with emit(window) as soon as a window is done.
template <int kWindows, int kVectors, typename Emit>
__attribute__((always_inline)) inline void multiply_form(Vec (&acc)[kWindows][kVectors],
                                                         const float* form, std::ptrdiff_t channel,
                                                         const float* b, const Emit& emit) {
  constexpr int kWidth = kVectors * kLanes;
#pragma GCC unroll 3
  for (int c = 0; c < kImageChannels; ++c) {
    const float* const pixels = opaque(form + c * channel);
    Vec w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = load(b + c * kWidth + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kWindows; ++p) {
      const Vec value = broadcast(pixels[2 * p]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) accumulate(acc[p][v], value, w[v]);
      if (c + 1 == kImageChannels) emit(p);
    }
  }
}

/// The same of kCount forms, from number `first` of kProducts on.
template <int kCount, int kWindows, int kVectors, typename Emit>
__attribute__((always_inline)) inline void multiply_forms(Vec (&acc)[kWindows][kVectors],
                                                          const WindowGroup& g, int first,
                                                          const Emit& emit) {
  constexpr int kProducts = kImageChannels * kVectors * kLanes;
  const std::ptrdiff_t shift = g.shift, channel = g.channel;
  const float* const* form = g.forms + first;
  const float* b = g.b + std::ptrdiff_t{first} * kProducts;
  for (int i = 1; i < kCount; ++i, b += kProducts) {
    multiply_form(acc, *form++ + shift, channel, b, [](int) {});
  }
  multiply_form(acc, *form + shift, channel, b, emit);
}

template <int kWindows, int kVectors>
__attribute__((noinline)) void window_group(const WindowGroup& g) {
  constexpr int kWidth = kVectors * kLanes;
  const auto nothing = [](int) {};
  for (int column = 0; column < g.columns; ++column) {
    Vec acc[kWindows][kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Vec bias = load(g.bias + v * kLanes);
#pragma GCC unroll 16
      for (int p = 0; p < kWindows; ++p) acc[p][v] = bias;
    }
    float* const to = g.partials + column * StemWindowScratch::kMostFloats;
    multiply_forms<kOfU>(acc, g, stem_windows::kU + kOfU * column,
                         [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
                           for (int v = 0; v < kVectors; ++v) {
                             store(to + p * kWidth + v * kLanes, acc[p][v]);
                           }
                         });
  }
  for (int row = g.row_begin; row < g.row_end; ++row) {
    float* const memory = g.partials + 2 * StemWindowScratch::kMostFloats;
    Vec held[kWindows][kVectors];
#pragma GCC unroll 16
    for (int p = 0; p < kWindows; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) held[p][v] = zero();
    }
    const int first = stem_windows::kV + kOfV * row;
    if constexpr (kHoldsV) {
      multiply_forms<kOfV>(held, g, first, nothing);
    } else {
      multiply_forms<kOfV>(held, g, first, [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) store(memory + p * kWidth + v * kLanes, held[p][v]);
      });
    }
    for (int column = 0; column < g.columns; ++column) {
      const float* const from = g.partials + column * StemWindowScratch::kMostFloats;
      Vec acc[kWindows][kVectors];
#pragma GCC unroll 16
      for (int p = 0; p < kWindows; ++p) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          const int at = p * kWidth + v * kLanes;
          acc[p][v] = add(kHoldsV ? held[p][v] : load(memory + at), load(from + at));
        }
      }
      float* const to = g.dst[row] + column * kBlock;
      const std::ptrdiff_t dst_block = g.dst_block;
      const Vec low = broadcast(g.floor);
      multiply_forms<kOfOutput>(acc, g, stem_windows::kOutputs + kOfOutput * (2 * row + column),
                                [&](int p) __attribute__((always_inline)) {
#pragma GCC unroll 4
                                  for (int v = 0; v < kVectors; ++v) {
                                    const std::ptrdiff_t at =
                                        vector_block(v) * dst_block + vector_lane(v);
                                    store(to + at + 2 * p * kBlock, max(low, acc[p][v]));
                                  }
                                });
    }
  }
}

using WindowKernel = void (*)(const WindowGroup&);

template <int kVectors>
constexpr auto kInstances = make_instances<WindowKernel>([]<int kWindows>() -> WindowKernel {
  return window_group<std::min(kWindows, max_windows(kVectors)), kVectors>;
});

WindowKernel find_window_kernel(int windows, int vectors) {
#ifdef __AVX512F__
  if (vectors == 1) return kInstances<1>[windows];
  if (vectors == 3) return kInstances<3>[windows];
#endif
  (void)vectors;
  return kInstances<2>[windows];
}

}  // namespace

void WindowedStem::make_panel(const WindowStrip& strip, int index) const {
  const PointwisePlan panels = plan_.panels();
  const Panel panel = panels.panel(index);
  const int vectors = panel.num_blocks * kBlock / kLanes;
  const std::ptrdiff_t column = std::ptrdiff_t{panel.first_block} * kBlock;
  WindowGroup group;
  group.forms = operands_;
  group.shift = 2 * strip.first;
  group.channel = forms_.parts().line;
  group.b = packed_ + padded(plan_.channels) + column * plan_.products();
  group.bias = packed_ + column;
  group.partials = partials_;
  group.floor = activation_floor(plan_.activation);
  group.row_begin = strip.row_begin;
  group.row_end = strip.row_end;
  group.dst_block = strip.dst_block;
  for (int i = 0; i < 2; ++i) group.dst[i] = strip.dst[i] + panel.first_block * strip.dst_block;
  const auto run = [&](int windows, int columns) {
    group.columns = columns;
    find_window_kernel(windows, vectors)(group);
    group.shift += 2 * windows;
    for (float*& to : group.dst) to += 2 * windows * kBlock;
  };
  const int left = plan_.out_width() - 2 * strip.first;  // columns
  const int columns = left < 2 * strip.count ? left : 2 * strip.count;
  if (const int whole = columns / 2; whole > 0) {
    const PixelGroups groups(whole, max_windows(vectors));
    const int windows = ceil_div(plan_.out_width(), 2), parts = panels.num_panels() * windows;
    int at = index * windows + strip.first;
    for (int i = 0; i < groups.count; at += groups.size(i++)) {
      forms_.prefetch(strip.pair + 2, at, at + groups.size(i), parts);
      run(groups.size(i), 2);
    }
  }
  if (columns % 2 != 0) run(1, 1);
  for (int row = strip.row_begin; row < strip.row_end; ++row) {
    finish_stem_pixels(plan_, panel, columns, strip.dst[row], strip.dst_block);
  }
}

void WindowedStem::make_strip(const WindowStrip& strip) const {
  const int num_panels = plan_.panels().num_panels();
  for (int index = 0; index < num_panels; ++index) make_panel(strip, index);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
