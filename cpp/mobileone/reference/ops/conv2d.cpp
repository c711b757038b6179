#include <algorithm>
#include <array>

#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/panel.hpp"

namespace mobileone::reference {

namespace {

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

// `bias` may be empty; `shape` is the result's.
ReferenceTensor convolve(const ReferenceTensor& x, const Conv2d& op, const Values& weight,
                         const Values& bias, const Shape& shape, int threads) {
  ReferenceTensor y{shape, Values(static_cast<std::size_t>(element_count(shape)))};
  const Geometry g(op, x.shape, shape);
  const std::int64_t items = shape[0] * op.groups * g.tiles();
  const std::int64_t grain = panel_grain(g.terms(), g.group_outputs);
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

}  // namespace

template <>
ReferenceTensor evaluate(const Conv2d& op, const Call& call) {
  return convolve(call.input(), op, call.weight("weight"), op.bias ? call.weight("bias") : Values{},
                  call.shape(), call.threads());
}

template <>
Values deviation(const Conv2d& op, const Call& call, const ReferenceTensor& y) {
  const auto terms = static_cast<double>(op.in_channels / op.groups * op.kernel[0] * op.kernel[1] +
                                         (op.bias ? 1 : 0));
  const Values weight = squared(call.exact_weight("weight"));
  const Values bias = op.bias ? squared(call.exact_weight("bias")) : Values{};
  const ReferenceTensor squares =
      convolve(squared(call.input(), call.threads()), op, weight, bias, y.shape, call.threads());
  return products_deviation(terms, y, squares, call.threads());
}

}  // namespace mobileone::reference
