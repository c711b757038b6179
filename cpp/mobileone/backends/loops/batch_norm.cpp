#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/lanes.hpp"
#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

namespace {

// Mean and biased variance, in two passes.
void measure(const Lanes& lanes, const float* x, float* means, float* variances) {
  vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    const auto number = static_cast<double>(lanes.map.images * lanes.map.pixels());
    double mean[kLanes] = {}, squares[kLanes] = {};
    lanes.for_each_pixel([&](std::int64_t at) MOBILEONE_INLINE_LAMBDA {
      for (std::int64_t i = 0; i < lanes.count; ++i) mean[i] += static_cast<double>(x[at + i]);
    });
    for (double& sum : mean) sum /= number;
    lanes.for_each_pixel([&](std::int64_t at) MOBILEONE_INLINE_LAMBDA {
      for (std::int64_t i = 0; i < lanes.count; ++i) {
        const double difference = static_cast<double>(x[at + i]) - mean[i];
        squares[i] += difference * difference;
      }
    });
    for (std::int64_t i = 0; i < lanes.count; ++i) {
      means[i] = static_cast<float>(mean[i]);
      variances[i] = static_cast<float>(squares[i] / number);
    }
  });
}

struct Normalization {
  const float *mean, *variance, *weight, *bias;
  double eps;
};

void normalize(const Lanes& lanes, const float* x, const Normalization& by, float* y) {
  vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    float mean[kLanes] = {}, scale[kLanes] = {}, bias[kLanes] = {};
    for (std::int64_t i = 0; i < lanes.count; ++i) {
      const std::int64_t c = lanes.channel + i;
      mean[i] = by.mean[c];
      bias[i] = by.bias[c];
      scale[i] = static_cast<float>(static_cast<double>(by.weight[c]) /
                                    std::sqrt(static_cast<double>(by.variance[c]) + by.eps));
    }
    lanes.for_each_pixel([&](std::int64_t at) MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < lanes.count; ++i) {
        y[at + i] = (x[at + i] - mean[i]) * scale[i] + bias[i];
      }
    });
  });
}

}  // namespace

template <>
void emit(const BatchNorm& batch_norm, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const bool training = builder.options().training;
  const ValueId src = map_with_runs(builder, node.inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const Operand weight = builder.weight(node.name + ".weight");
  const Operand bias = builder.weight(node.name + ".bias");
  const auto statistic = [&](PlanOutput::Kind kind, const std::string& running) -> Operand {
    if (!training) return builder.weight(node.name + running);
    return {builder.new_extra_output(op.node, kind, {batch_norm.channels}), nullptr};
  };
  const Operand mean = statistic(PlanOutput::Kind::batch_mean, ".running_mean");
  const Operand variance = statistic(PlanOutput::Kind::batch_variance, ".running_var");

  const MapView map(builder.value(src));
  const auto run = [=, eps = batch_norm.eps, pool = pool_of(builder)](const Buffers& buffers) {
    const Normalization by{mean.address(buffers), variance.address(buffers),
                           weight.address(buffers), bias.address(buffers), eps};
    spread(pool, Lanes::tasks(map), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        const Lanes lanes(map, task);
        if (training) {
          measure(lanes, input(buffers, src), output(buffers, mean.value) + lanes.channel,
                  output(buffers, variance.value) + lanes.channel);
        }
        normalize(lanes, input(buffers, src), by, output(buffers, dst));
      }
    });
  };
  std::vector<ValueId> writes = PlanBuilder::values_of({mean, variance});
  writes.push_back(dst);
  add_loop(op, builder, {src}, writes, run);
}

}  // namespace mobileone::loops
