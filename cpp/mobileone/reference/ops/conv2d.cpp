#include <algorithm>
#include <array>

#include "mobileone/reference/convolve.hpp"
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

}  // namespace

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

namespace {

// Along one axis: the places of the result, [first, last), at which one kernel position meets a
// pixel, and the pixel that it meets at `first`.
struct Met {
  std::int64_t first, last, pixel;

  Met(std::int64_t extent, std::int64_t results, std::int64_t stride, std::int64_t offset)
      : first(offset < 0 ? (-offset + stride - 1) / stride : 0),
        last(extent > offset ? std::min(results, (extent - 1 - offset) / stride + 1) : 0),
        pixel(first * stride + offset) {}
};

// visit(k, result, pixel, count): kernel position k meets `count` pixels of one row, a stride of
// columns apart, at neighbouring places of one row of the result. Places count from the beginning
// of a channel.
template <typename Visit>
void for_each_run(const Geometry& g, const Visit& visit) {
  for (std::int64_t k = 0; k < g.op.kernel[0] * g.op.kernel[1]; ++k) {
    const std::int64_t ky = k / g.op.kernel[1], kx = k % g.op.kernel[1];
    const Met rows(g.height, g.out_height, g.op.stride[0], ky * g.op.dilation[0] - g.op.padding[0]);
    const Met columns(g.width, g.out_width, g.op.stride[1],
                      kx * g.op.dilation[1] - g.op.padding[1]);
    if (columns.last <= columns.first) continue;
    std::int64_t row = rows.pixel;
    for (std::int64_t y = rows.first; y < rows.last; ++y, row += g.op.stride[0]) {
      visit(k, y * g.out_width + columns.first, row * g.width + columns.pixel,
            columns.last - columns.first);
    }
  }
}

// By the input of one image and group: the transposed convolution.
void input_gradient(const Geometry& g, const double* dy, const double* weight, double* dx) {
  const std::int64_t kernel = g.op.kernel[0] * g.op.kernel[1];
  for (std::int64_t out = 0; out < g.group_outputs; ++out) {
    for (std::int64_t in = 0; in < g.group_inputs; ++in) {
      const double* w = weight + (out * g.group_inputs + in) * kernel;
      for_each_run(
          g, [&](std::int64_t k, std::int64_t result, std::int64_t pixel, std::int64_t count) {
            const double* from = dy + out * g.out_pixels() + result;
            double* to = dx + in * g.height * g.width + pixel;
            for (std::int64_t i = 0; i < count; ++i) to[i * g.op.stride[1]] += w[k] * from[i];
          });
    }
  }
}

// Adds one image's part of the gradient by one output channel's kernel, [inputs of a group,
// kernel].
void weight_gradient(const Geometry& g, const double* dy, const double* x, double* dweight) {
  const std::int64_t kernel = g.op.kernel[0] * g.op.kernel[1];
  for (std::int64_t in = 0; in < g.group_inputs; ++in) {
    for_each_run(g,
                 [&](std::int64_t k, std::int64_t result, std::int64_t pixel, std::int64_t count) {
                   const double* from = x + in * g.height * g.width + pixel;
                   double sum = 0.0;
                   for (std::int64_t i = 0; i < count; ++i)
                     sum += dy[result + i] * from[i * g.op.stride[1]];
                   dweight[in * kernel + k] += sum;
                 });
  }
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

template <>
Gradients vjp(const Conv2d& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  const Geometry g(op, x.shape, call.shape());
  const Values weight = call.exact_weight("weight");
  const std::int64_t images = x.shape[0], plane = g.height * g.width;
  const double* dy = gradient.values.data();
  ReferenceTensor dx = zeros(x.shape);
  const auto of_input = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {  // image * groups + group
      input_gradient(g, dy + i * g.group_outputs * g.out_pixels(),
                     weight.data() + i % op.groups * g.group_outputs * g.terms(),
                     dx.values.data() + i * g.group_inputs * plane);
    }
  };
  Values dweight(weight.size()), dbias(to_index(op.out_channels));
  const auto of_weights = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t out = begin; out < end; ++out) {
      const std::int64_t first = out / g.group_outputs * g.group_inputs;
      for (std::int64_t image = 0; image < images; ++image) {
        const double* own = dy + (image * op.out_channels + out) * g.out_pixels();
        weight_gradient(g, own, x.values.data() + (image * op.in_channels + first) * plane,
                        dweight.data() + out * g.terms());
        for (std::int64_t i = 0; i < g.out_pixels(); ++i) dbias[to_index(out)] += own[i];
      }
    }
  };
  const std::int64_t macs = op.macs(call.shape());  // of each of the two
  parallel_for(images * op.groups, 1 + kGrain * images * op.groups / (macs + 1), call.threads(),
               of_input);
  parallel_for(op.out_channels, 1 + kGrain * op.out_channels / (macs + 1), call.threads(),
               of_weights);
  Gradients result{{std::move(dx)}, {{"weight", std::move(dweight)}}};
  if (op.bias) result.weights["bias"] = std::move(dbias);
  return result;
}

}  // namespace mobileone::reference
