#include <cmath>

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

constexpr std::int64_t kChannels = 16;  // of the weights' gradients that one task makes

struct LayerNormGradient {
  std::int64_t rows, channels;
  double eps;

  std::int64_t tasks() const { return (channels + kChannels - 1) / kChannels; }
  // Of every row: its mean and 1 / sqrt(variance + eps).
  std::int64_t scratch_floats() const { return 2 * rows; }

  // With z = (x - mean) r and d = dy weight: dx = r (d - E[d] - z E[d z]).
  void input_row(const float* x, const float* dy, const float* weight, float* dx,
                 float* statistics) const {
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      const auto count = static_cast<double>(channels);
      double sum = 0.0, squares = 0.0;
      for (std::int64_t c = 0; c < channels; ++c) sum += static_cast<double>(x[c]);
      const double mean = sum / count;
      for (std::int64_t c = 0; c < channels; ++c) {
        const double difference = static_cast<double>(x[c]) - mean;
        squares += difference * difference;
      }
      const double scale = 1.0 / std::sqrt(squares / count + eps);
      double total = 0.0, products = 0.0;
      for (std::int64_t c = 0; c < channels; ++c) {
        const double gradient = static_cast<double>(dy[c]) * static_cast<double>(weight[c]);
        total += gradient;
        products += gradient * (static_cast<double>(x[c]) - mean);
      }
      const auto factor = static_cast<float>(scale), centre = static_cast<float>(mean);
      const auto offset = static_cast<float>(total / count);
      const auto slope = static_cast<float>(products * scale * scale / count);
#pragma GCC ivdep
      for (std::int64_t c = 0; c < channels; ++c) {
        dx[c] = factor * (dy[c] * weight[c] - offset - (x[c] - centre) * slope);
      }
      statistics[0] = centre;
      statistics[1] = factor;
    });
  }

  // dweight = sum over rows of dy z, dbias of dy.
  void weights(std::int64_t task, const float* x, const float* dy, const float* statistics,
               float* dweight, float* dbias) const {
    const std::int64_t first = task * kChannels, count = std::min(kChannels, channels - first);
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      double products[kChannels] = {}, sums[kChannels] = {};
      for (std::int64_t row = 0; row < rows; ++row) {
        const float centre = statistics[2 * row], factor = statistics[2 * row + 1];
        const float* const from = x + row * channels + first;
        const float* const gradient = dy + row * channels + first;
        for (std::int64_t c = 0; c < count; ++c) {
          products[c] += static_cast<double>(gradient[c] * ((from[c] - centre) * factor));
          sums[c] += static_cast<double>(gradient[c]);
        }
      }
      for (std::int64_t c = 0; c < count; ++c) {
        dweight[first + c] = static_cast<float>(products[c]);
        dbias[first + c] = static_cast<float>(sums[c]);
      }
    });
  }
};

}  // namespace

template <>
void emit_backward(const LayerNorm& layer_norm, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  const ValueId x = builder.in_layout(source, Layout::nchw());
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const ValueId dweight = builder.new_weight_gradient(op.node, node.name + ".weight");
  const ValueId dbias = builder.new_weight_gradient(op.node, node.name + ".bias");
  const Operand weight = builder.weight(node.name + ".weight");
  const std::int64_t channels = layer_norm.channels;
  const LayerNormGradient gradient{element_count(builder.shape(source)) / channels, channels,
                                   layer_norm.eps};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    float* const statistics = reinterpret_cast<float*>(buffers.scratch());
    spread(pool, gradient.rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        gradient.input_row(input(buffers, x) + row * channels, input(buffers, dy) + row * channels,
                           weight.address(buffers), output(buffers, dx) + row * channels,
                           statistics + 2 * row);
      }
    });
    spread(pool, gradient.tasks(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.weights(task, input(buffers, x), input(buffers, dy), statistics,
                         output(buffers, dweight), output(buffers, dbias));
      }
    });
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weight});
  reads.insert(reads.end(), {x, dy});
  add_backward_loop(op, builder, reads, {dx, dweight, dbias}, run,
                    static_cast<std::size_t>(gradient.scratch_floats()) * sizeof(float));
  if (builder.wants_gradient(source)) builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
