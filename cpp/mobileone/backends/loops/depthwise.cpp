#include "mobileone/backends/loops/depthwise.hpp"

#include "mobileone/backends/loops/activation.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

struct Depthwise {
  Conv2d conv;
  MapView in, out;
  std::optional<ActivationKind> activation;

  std::int64_t taps() const { return conv.kernel[0] * conv.kernel[1]; }
  std::int64_t tasks() const { return out.images * out.height; }  // rows of the result

  // From [channels, 1, kh, kw]: [tap][channels].
  void pack(const float* weight, float* packed) const {
    for (std::int64_t tap = 0; tap < taps(); ++tap) {
      for (std::int64_t c = 0; c < conv.out_channels; ++c) *packed++ = weight[c * taps() + tap];
    }
  }

  void run(std::int64_t task, const float* x, const float* packed, const float* bias,
           float* y) const {
    const std::int64_t image = task / out.height, row = task % out.height;
    for (std::int64_t column = 0; column < out.width; ++column) {
      float* const sums = y + out.at(image, 0, row, column);
      if (bias) {
        std::copy_n(bias, out.channels, sums);
      } else {
        std::fill_n(sums, out.channels, 0.f);
      }
      vectorized([&]() MOBILEONE_INLINE_LAMBDA { add_taps(x, packed, image, row, column, sums); });
      activate(activation, sums, out.channels);
    }
  }

 private:
  MOBILEONE_INLINE void add_taps(const float* x, const float* packed, std::int64_t image,
                                 std::int64_t row, std::int64_t column, float* sums) const {
    for (std::int64_t ky = 0; ky < conv.kernel[0]; ++ky) {
      const std::int64_t from_row = row * conv.stride[0] - conv.padding[0] + ky * conv.dilation[0];
      if (from_row < 0 || from_row >= in.height) continue;
      for (std::int64_t kx = 0; kx < conv.kernel[1]; ++kx) {
        const std::int64_t from_column =
            column * conv.stride[1] - conv.padding[1] + kx * conv.dilation[1];
        if (from_column < 0 || from_column >= in.width) continue;
        const float* const pixel = x + in.at(image, 0, from_row, from_column);
        const float* const weights = packed + (ky * conv.kernel[1] + kx) * conv.out_channels;
#pragma GCC ivdep
        for (std::int64_t c = 0; c < out.channels; ++c) sums[c] += pixel[c] * weights[c];
      }
    }
  }
};

}  // namespace

void emit_depthwise(const Conv2d& conv, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nhwc());
  const ValueId dst = builder.new_result(op.result, Layout::nhwc());
  const Depthwise depthwise{conv, MapView(builder.value(src)), MapView(builder.value(dst)),
                            op.activation};
  const Operand weights = builder.reordered(
      node.name + " loops", {node.name + ".weight"}, depthwise.taps() * conv.out_channels,
      [depthwise](const float* const* from, float* packed) { depthwise.pack(from[0], packed); });
  const Operand bias = conv.bias ? builder.weight(node.name + ".bias") : Operand{};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, depthwise.tasks(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        depthwise.run(task, input(buffers, src), weights.address(buffers), bias.address(buffers),
                      output(buffers, dst));
      }
    });
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weights, bias});
  reads.push_back(src);
  add_loop(op, builder, reads, {dst}, run);
}

}  // namespace mobileone::loops
