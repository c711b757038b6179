#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

void normalize(const float* x, const float* weight, const float* bias, std::int64_t channels,
               double eps, float* y) {
  vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    double sum = 0.0, squares = 0.0;
    for (std::int64_t c = 0; c < channels; ++c) sum += static_cast<double>(x[c]);
    const double mean = sum / static_cast<double>(channels);
    for (std::int64_t c = 0; c < channels; ++c) {
      const double difference = static_cast<double>(x[c]) - mean;
      squares += difference * difference;
    }
    const double variance = squares / static_cast<double>(channels);
    const auto scale = static_cast<float>(1.0 / std::sqrt(variance + eps));
    const auto centre = static_cast<float>(mean);
#pragma GCC ivdep
    for (std::int64_t c = 0; c < channels; ++c) {
      y[c] = (x[c] - centre) * scale * weight[c] + bias[c];
    }
  });
}

}  // namespace

template <>
void emit(const LayerNorm& layer_norm, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  // Row-major: channels lie side by side, and everything before them is one dimension.
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const Operand weight = builder.weight(node.name + ".weight");
  const Operand bias = builder.weight(node.name + ".bias");
  const std::int64_t channels = layer_norm.channels;
  const std::int64_t rows = element_count(builder.shape(op.result)) / channels;
  const auto run = [=, eps = layer_norm.eps, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        normalize(input(buffers, src) + row * channels, weight.address(buffers),
                  bias.address(buffers), channels, eps, output(buffers, dst) + row * channels);
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
