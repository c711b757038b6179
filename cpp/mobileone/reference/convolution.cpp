// Convolution and matrix product: a panel of the inputs that a few output pixels (or rows) read is
// gathered once, then multiplied with every output channel's kernel.
#include <algorithm>
#include <array>
#include <cstring>

#include "mobileone/reference/operators.hpp"
#include "mobileone/reference/parallel.hpp"

// The product's plain loops are compiled for wider vectors as well; the loader picks at run time.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MOBILEONE_WIDE_LOOPS \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MOBILEONE_WIDE_LOOPS
#endif

namespace mobileone::reference {

namespace {

// Eight pixels side by side, a vector type of the compiler's; arithmetic on it is elementwise.
using Lanes = double __attribute__((vector_size(64)));

constexpr std::int64_t kLanes = 8;
constexpr std::int64_t kPixels = 2 * kLanes;  // output pixels of a panel
constexpr std::int64_t kChannels = 4;         // output channels computed together

// sums[c][p] += sum over k of weight[c][k] * panel[k][p], in ascending k.
// Every loop over channels is unrolled: the sums stay in registers only then (GCC 12).
template <int channels>
[[gnu::always_inline]] inline void accumulate(const double* weight, std::int64_t terms,
                                              const double* panel, double* sums) {
  const auto load = [](Lanes& lanes, const double* from) {
    std::memcpy(&lanes, from, sizeof lanes);
  };
  Lanes left[channels], right[channels];
#pragma GCC unroll 4
  for (int c = 0; c < channels; ++c) {
    load(left[c], sums + c * kPixels);
    load(right[c], sums + c * kPixels + kLanes);
  }
  for (std::int64_t k = 0; k < terms; ++k, panel += kPixels) {
    Lanes x0, x1;
    load(x0, panel);
    load(x1, panel + kLanes);
#pragma GCC unroll 4
    for (int c = 0; c < channels; ++c) {
      const double w = weight[c * terms + k];
      left[c] += w * x0;
      right[c] += w * x1;
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < channels; ++c) {
    std::memcpy(sums + c * kPixels, &left[c], sizeof(Lanes));
    std::memcpy(sums + c * kPixels + kLanes, &right[c], sizeof(Lanes));
  }
}

MOBILEONE_WIDE_LOOPS void accumulate_four(const double* weight, std::int64_t terms,
                                          const double* panel, double* sums) {
  accumulate<kChannels>(weight, terms, panel, sums);
}

MOBILEONE_WIDE_LOOPS void accumulate_one(const double* weight, std::int64_t terms,
                                         const double* panel, double* sums) {
  accumulate<1>(weight, terms, panel, sums);
}

struct Geometry {
  const Conv2d& op;
  std::int64_t height, width, out_height, out_width;
  std::int64_t group_inputs, group_outputs;
  bool pointwise;  // every output pixel reads the input pixel at its place

  Geometry(const Conv2d& conv, const Shape& in, const Shape& out)
      : op(conv),
        height(in[2]),
        width(in[3]),
        out_height(out[2]),
        out_width(out[3]),
        group_inputs(op.in_channels / op.groups),
        group_outputs(op.out_channels / op.groups),
        pointwise(op.kernel == Extent{1, 1} && op.stride == Extent{1, 1} &&
                  op.padding == Extent{0, 0}) {}

  std::int64_t out_pixels() const { return out_height * out_width; }
  std::int64_t tiles() const { return (out_pixels() + kPixels - 1) / kPixels; }
  std::int64_t terms() const { return group_inputs * op.kernel[0] * op.kernel[1]; }
};

// panel[k][p] = the input that kernel position k = (channel, ky, kx) meets at output pixel
// first + p; zero in the padding and beyond the last pixel.
void gather(const Geometry& g, const double* image, std::int64_t first, double* panel) {
  const std::int64_t count = std::min(kPixels, g.out_pixels() - first);
  if (g.pointwise) {
    for (std::int64_t channel = 0; channel < g.group_inputs; ++channel, panel += kPixels) {
      const double* from = image + channel * g.out_pixels() + first;
      std::fill(std::copy(from, from + count, panel), panel + kPixels, 0.0);
    }
    return;
  }
  std::array<std::int64_t, kPixels> top{}, left{};
  for (std::int64_t p = 0; p < count; ++p) {
    const auto i = static_cast<std::size_t>(p);
    top[i] = (first + p) / g.out_width * g.op.stride[0] - g.op.padding[0];
    left[i] = (first + p) % g.out_width * g.op.stride[1] - g.op.padding[1];
  }
  // Away from the left and right borders, one output row's pixels need no test each.
  const bool inner = count == kPixels && top.front() == top.back() && left.front() >= 0 &&
                     left.back() + (g.op.kernel[1] - 1) * g.op.dilation[1] < g.width;
  for (std::int64_t channel = 0; channel < g.group_inputs; ++channel) {
    const double* plane = image + channel * g.height * g.width;
    for (std::int64_t ky = 0; ky < g.op.kernel[0]; ++ky) {
      for (std::int64_t kx = 0; kx < g.op.kernel[1]; ++kx, panel += kPixels) {
        const std::int64_t down = ky * g.op.dilation[0], right = kx * g.op.dilation[1];
        const std::int64_t row = top.front() + down;
        if (inner && row >= 0 && row < g.height) {
          const double* from = plane + row * g.width + left.front() + right;
          for (std::int64_t p = 0; p < kPixels; ++p) panel[p] = from[p * g.op.stride[1]];
          continue;
        }
        for (std::int64_t p = 0; p < kPixels; ++p) {
          const std::int64_t y = top[static_cast<std::size_t>(p)] + down;
          const std::int64_t x = left[static_cast<std::size_t>(p)] + right;
          const bool inside = p < count && y >= 0 && y < g.height && x >= 0 && x < g.width;
          panel[p] = inside ? plane[y * g.width + x] : 0.0;
        }
      }
    }
  }
}

// Calls store(channel, sums of the panel's pixels) for every output channel. weight [channels,
// terms]; `bias` may be null.
template <typename Store>
void multiply_panel(std::int64_t channels, std::int64_t terms, const double* weight,
                    const double* bias, const double* panel, const Store& store) {
  std::array<double, kChannels * kPixels> sums;
  for (std::int64_t first = 0; first < channels;) {
    const std::int64_t together = first + kChannels <= channels ? kChannels : 1;
    for (std::int64_t i = 0; i < together * kPixels; ++i) {
      sums[static_cast<std::size_t>(i)] = bias ? bias[first + i / kPixels] : 0.0;
    }
    const auto product = together == 1 ? accumulate_one : accumulate_four;
    product(weight + first * terms, terms, panel, sums.data());
    for (std::int64_t c = 0; c < together; ++c) store(first + c, sums.data() + c * kPixels);
    first += together;
  }
}

}  // namespace

ReferenceTensor convolve(const ReferenceTensor& x, const Conv2d& op, const Values& weight,
                         const Values& bias, const Shape& shape, int threads) {
  ReferenceTensor y{shape, Values(static_cast<std::size_t>(element_count(shape)))};
  const Geometry g(op, x.shape, shape);
  const std::int64_t items = shape[0] * op.groups * g.tiles();
  const std::int64_t grain = 1 + 200000 / (kPixels * g.terms() * g.group_outputs);
  parallel_for(items, grain, threads, [&](std::int64_t begin, std::int64_t end) {
    Values panel(static_cast<std::size_t>(g.terms() * kPixels));
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t first = item % g.tiles() * kPixels;
      const std::int64_t plane = item / g.tiles();  // image * groups + group
      const std::int64_t out_channel = plane % op.groups * g.group_outputs;
      gather(g, x.values.data() + plane * g.group_inputs * g.height * g.width, first, panel.data());
      const std::int64_t count = std::min(kPixels, g.out_pixels() - first);
      double* out = y.values.data() + plane * g.group_outputs * g.out_pixels() + first;
      multiply_panel(g.group_outputs, g.terms(), weight.data() + out_channel * g.terms(),
                     bias.empty() ? nullptr : bias.data() + out_channel, panel.data(),
                     [&](std::int64_t channel, const double* sums) {
                       std::copy(sums, sums + count, out + channel * g.out_pixels());
                     });
    }
  });
  return y;
}

ReferenceTensor multiply_matrix(const ReferenceTensor& x, const Linear& op, const Values& weight,
                                const Values& bias, const Shape& shape, int threads) {
  ReferenceTensor y{shape, Values(static_cast<std::size_t>(element_count(shape)))};
  const std::int64_t terms = op.in_features, outputs = op.out_features;
  const std::int64_t rows = element_count(shape) / outputs;
  const std::int64_t grain = 1 + 200000 / (kPixels * terms * outputs);
  parallel_for(
      (rows + kPixels - 1) / kPixels, grain, threads, [&](std::int64_t begin, std::int64_t end) {
        Values panel(static_cast<std::size_t>(terms * kPixels));
        for (std::int64_t first = begin * kPixels; first < end * kPixels; first += kPixels) {
          const std::int64_t count = std::min(kPixels, rows - first);
          for (std::int64_t p = 0; p < count; ++p) {
            const double* from = x.values.data() + (first + p) * terms;
            for (std::int64_t k = 0; k < terms; ++k) {
              panel[static_cast<std::size_t>(k * kPixels + p)] = from[k];
            }
          }
          double* out = y.values.data() + first * outputs;
          multiply_panel(outputs, terms, weight.data(), bias.empty() ? nullptr : bias.data(),
                         panel.data(), [&](std::int64_t channel, const double* sums) {
                           for (std::int64_t p = 0; p < count; ++p) {
                             out[p * outputs + channel] = sums[p];
                           }
                         });
        }
      });
  return y;
}

}  // namespace mobileone::reference
