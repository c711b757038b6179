#include <vector>

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

// Any convolution, in nhwc: the products of a tap are vectors of input channels.
namespace mobileone::loops {

namespace {

constexpr std::int64_t kOutputs = 16;  // rows of the weight's gradient that one task makes

struct ConvGradient {
  Conv2d conv;
  MapView in, out;

  std::int64_t inputs() const { return conv.in_channels / conv.groups; }    // of a group
  std::int64_t outputs() const { return conv.out_channels / conv.groups; }  // of a group
  std::int64_t taps() const { return conv.kernel[0] * conv.kernel[1]; }
  std::int64_t first_input(std::int64_t output) const { return output / outputs() * inputs(); }

  // From [out, in / groups, kh, kw]: [tap][out][in / groups].
  void pack(const float* weight, float* packed) const {
    for (std::int64_t tap = 0; tap < taps(); ++tap) {
      for (std::int64_t row = 0; row < conv.out_channels * inputs(); ++row) {
        *packed++ = weight[row * taps() + tap];
      }
    }
  }

  // visit(output pixel, input pixel) of one tap, of one image.
  template <typename Visit>
  MOBILEONE_INLINE void for_pixels(std::int64_t image, std::int64_t tap, const Visit& visit) const {
    const std::int64_t ky = tap / conv.kernel[1], kx = tap % conv.kernel[1];
    for (std::int64_t row = 0; row < out.height; ++row) {
      const std::int64_t y = row * conv.stride[0] - conv.padding[0] + ky * conv.dilation[0];
      if (y < 0 || y >= in.height) continue;
      for (std::int64_t column = 0; column < out.width; ++column) {
        const std::int64_t x = column * conv.stride[1] - conv.padding[1] + kx * conv.dilation[1];
        if (x >= 0 && x < in.width) visit(out.at(image, 0, row, column), in.at(image, 0, y, x));
      }
    }
  }

  void input_of_image(std::int64_t image, const float* dy, const float* packed, float* dx) const {
    std::fill_n(dx + in.at(image, 0, 0, 0), in.pixels() * in.channels, 0.f);
    for (std::int64_t tap = 0; tap < taps(); ++tap) {
      const float* const weights = packed + tap * conv.out_channels * inputs();
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        for_pixels(image, tap, [&](std::int64_t from, std::int64_t to) MOBILEONE_INLINE_LAMBDA {
          if (conv.depthwise()) {
#pragma GCC ivdep
            for (std::int64_t c = 0; c < in.channels; ++c) dx[to + c] += dy[from + c] * weights[c];
            return;
          }
          for (std::int64_t o = 0; o < out.channels; ++o) {
            const float factor = dy[from + o];
            const float* const w = weights + o * inputs();
            float* const sums = dx + to + first_input(o);
#pragma GCC ivdep
            for (std::int64_t i = 0; i < inputs(); ++i) sums[i] += factor * w[i];
          }
        });
      });
    }
  }

  std::int64_t weight_tasks() const {
    return taps() * ((conv.out_channels + kOutputs - 1) / kOutputs);
  }
  // One tap of kOutputs outputs: sums of an image in fp32, of images in float64.
  void weight_part(std::int64_t task, const float* x, const float* dy, float* dw) const {
    const std::int64_t tap = task % taps(), first = task / taps() * kOutputs;
    const std::int64_t count = std::min(kOutputs, conv.out_channels - first);
    const auto floats = static_cast<std::size_t>(count * inputs());
    std::vector<float> part(floats);
    std::vector<double> total(floats);
    for (std::int64_t image = 0; image < in.images; ++image) {
      std::fill(part.begin(), part.end(), 0.f);
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        for_pixels(image, tap, [&](std::int64_t at, std::int64_t from) MOBILEONE_INLINE_LAMBDA {
          for (std::int64_t o = 0; o < count; ++o) {
            const float factor = dy[at + first + o];
            const float* const pixel = x + from + first_input(first + o);
            float* const sums = part.data() + o * inputs();
#pragma GCC ivdep
            for (std::int64_t i = 0; i < inputs(); ++i) sums[i] += factor * pixel[i];
          }
        });
      });
      for (std::size_t i = 0; i < floats; ++i) total[i] += static_cast<double>(part[i]);
    }
    for (std::size_t i = 0; i < floats; ++i) {
      const std::int64_t row = first * inputs() + static_cast<std::int64_t>(i);
      dw[row * taps() + tap] = static_cast<float>(total[i]);
    }
  }

  void bias(std::int64_t channel, const float* dy, float* db) const {
    double sum = 0.0;
    for (std::int64_t pixel = 0; pixel < out.images * out.pixels(); ++pixel) {
      sum += static_cast<double>(dy[pixel * out.channels + channel]);
    }
    db[channel] = static_cast<float>(sum);
  }
};

}  // namespace

template <>
void emit_backward(const Conv2d& conv, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  const bool wanted = builder.wants_gradient(source);
  const ValueId x = builder.in_layout(source, Layout::nhwc());
  const ValueId dy = builder.gradient_of(op, Layout::nhwc());
  const ValueId dw = builder.new_weight_gradient(op.node, node.name + ".weight");
  const ValueId db = conv.bias ? builder.new_weight_gradient(op.node, node.name + ".bias") : -1;
  const ValueId dx = wanted ? builder.new_gradient(source, Layout::nhwc()) : -1;
  const ConvGradient gradient{conv, MapView(builder.value(x)), MapView(builder.value(dy))};
  const Operand weights =
      !wanted ? Operand{}
              : builder.reordered(node.name + " backward", {node.name + ".weight"},
                                  gradient.taps() * conv.out_channels * gradient.inputs(),
                                  [gradient](const float* const* from, float* packed) {
                                    gradient.pack(from[0], packed);
                                  });
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const auto each = [&](std::int64_t tasks, const auto& work) {
      spread(pool, tasks, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t task = begin; task < end; ++task) work(task);
      });
    };
    const float* const gradients = input(buffers, dy);
    each(gradient.weight_tasks(), [&](std::int64_t task) {
      gradient.weight_part(task, input(buffers, x), gradients, output(buffers, dw));
    });
    if (db >= 0) {
      each(gradient.out.channels,
           [&](std::int64_t channel) { gradient.bias(channel, gradients, output(buffers, db)); });
    }
    if (!wanted) return;
    each(gradient.in.images, [&](std::int64_t image) {
      gradient.input_of_image(image, gradients, weights.address(buffers), output(buffers, dx));
    });
  };
  add_backward_loop(op, builder, {x, dy}, weights, {dw, db, dx}, run);
  if (wanted) builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
