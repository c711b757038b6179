#include <bit>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"
#include "mobileone/kernels/byte_rounding.hpp"

namespace mobileone::loops {

namespace {

// Weights are [groups][terms][outputs of a group] of 32-bit integers, then biases, in float32
// tensors: sums of such products in float32 itself would be rounded.
struct Integers32 {
  QuantizedConvolution op;
  MapView in, out;

  std::int64_t group_inputs() const { return op.in_channels / op.groups; }
  std::int64_t group_outputs() const { return op.out_channels / op.groups; }
  std::int64_t weights() const { return op.out_channels * op.terms(); }
  std::int64_t tasks() const { return out.images * out.height; }  // rows of the result

  // From [out, in / groups, kh, kw].
  void pack(const float* weight, const float* bias, float* packed) const {
    const auto store = [&](float value) {
      *packed++ = std::bit_cast<float>(static_cast<std::int32_t>(value));
    };
    for (std::int64_t group = 0; group < op.groups; ++group) {
      for (std::int64_t tap = 0; tap < op.kernel[0] * op.kernel[1]; ++tap) {
        for (std::int64_t i = 0; i < group_inputs(); ++i) {
          for (std::int64_t o = 0; o < group_outputs(); ++o) {
            const std::int64_t at = (group * group_outputs() + o) * group_inputs() + i;
            store(weight[at * op.kernel[0] * op.kernel[1] + tap]);
          }
        }
      }
    }
    for (std::int64_t o = 0; o < op.out_channels; ++o) store(bias[o]);
  }

  void run(std::int64_t task, const float* x, const std::int32_t* packed, const float* multiplier,
           std::int32_t* sums, float* y) const {
    const std::int64_t image = task / out.height, row = task % out.height;
    for (std::int64_t column = 0; column < out.width; ++column) {
      float* const to = y + out.at(image, 0, row, column);
      std::copy_n(packed + weights(), op.out_channels, sums);
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        for (std::int64_t group = 0; group < op.groups; ++group) {
          add_window(x, packed, image, row, column, group, sums);
        }
        requantize(sums, multiplier, to);
      });
    }
  }

 private:
  MOBILEONE_INLINE void add_window(const float* x, const std::int32_t* packed, std::int64_t image,
                                   std::int64_t row, std::int64_t column, std::int64_t group,
                                   std::int32_t* sums) const {
    const std::int64_t outputs = group_outputs(), inputs = group_inputs();
    std::int32_t* const own = sums + group * outputs;
    for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
      const std::int64_t from_row = row * op.stride[0] - op.padding[0] + ky * op.dilation[0];
      if (from_row < 0 || from_row >= in.height) continue;
      for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
        const std::int64_t from = column * op.stride[1] - op.padding[1] + kx * op.dilation[1];
        if (from < 0 || from >= in.width) continue;
        const float* const pixel = x + in.at(image, group * inputs, from_row, from);
        const std::int32_t* weight =
            packed + (group * op.terms() + (ky * op.kernel[1] + kx) * inputs) * outputs;
        for (std::int64_t i = 0; i < inputs; ++i, weight += outputs) {
          const auto value =
              static_cast<std::int32_t>(pixel[i]) - static_cast<std::int32_t>(op.input_zero_point);
#pragma GCC ivdep
          for (std::int64_t o = 0; o < outputs; ++o) own[o] += value * weight[o];
        }
      }
    }
  }

  MOBILEONE_INLINE void requantize(const std::int32_t* sums, const float* multiplier,
                                   float* y) const {
    const kernels::ByteRounding range{static_cast<float>(op.output_zero_point),
                                      static_cast<float>(op.least())};
    const bool rounds = !op.float_result;
#pragma GCC ivdep
    for (std::int64_t o = 0; o < op.out_channels; ++o) {
      const float scaled = static_cast<float>(sums[o]) * multiplier[o];
      y[o] = rounds ? range.round(scaled) : scaled;
    }
  }
};

}  // namespace

template <>
void emit(const QuantizedConvolution& convolution, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nhwc());
  const ValueId dst = builder.new_result(op.result, Layout::nhwc());
  const Integers32 integers{convolution, MapView(builder.value(src)), MapView(builder.value(dst))};
  const Operand weights = builder.reordered(
      node.name + " loops", {node.name + ".weight", node.name + ".bias"},
      integers.weights() + convolution.out_channels,
      [integers](const float* const* from, float* to) { integers.pack(from[0], from[1], to); });
  const Operand multiplier = builder.weight(node.name + ".multiplier");
  const std::int64_t scratch = convolution.out_channels;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, integers.tasks(), [&](std::int64_t begin, std::int64_t end, int worker) {
      // Memory of floats: integers are copied, and never read as numbers.
      auto* const sums = reinterpret_cast<std::int32_t*>(scratch_of(worker, scratch, buffers));
      const auto* const packed = reinterpret_cast<const std::int32_t*>(weights.address(buffers));
      for (std::int64_t task = begin; task < end; ++task) {
        integers.run(task, input(buffers, src), packed, multiplier.address(buffers), sums,
                     output(buffers, dst));
      }
    });
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weights, multiplier});
  reads.push_back(src);
  add_loop(op, builder, reads, {dst}, run, scratch_bytes(builder, scratch));
}

}  // namespace mobileone::loops
