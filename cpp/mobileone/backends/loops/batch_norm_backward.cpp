#include <cmath>

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/lanes.hpp"

namespace mobileone::loops {

namespace {

struct BatchNormGradient {
  const float *x, *dy, *mean, *variance, *weight;
  double eps;
  float *dx, *dweight, *dbias;

  // With z = (x - mean) / sigma: dbias = sum dy, dweight = sum dy z, and
  // dx = weight / sigma (dy - dbias / M - z dweight / M), the statistics being the batch's own.
  void run(const Lanes& lanes) const {
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      const auto number = static_cast<double>(lanes.map.images * lanes.map.pixels());
      double sum[kLanes] = {}, product[kLanes] = {};
      float centre[kLanes] = {};
      for (std::int64_t i = 0; i < lanes.count; ++i) centre[i] = mean[lanes.channel + i];
      lanes.for_each_pixel([&](std::int64_t at) MOBILEONE_INLINE_LAMBDA {
        for (std::int64_t i = 0; i < lanes.count; ++i) {
          const auto gradient = static_cast<double>(dy[at + i]);
          sum[i] += gradient;
          product[i] += gradient * static_cast<double>(x[at + i] - centre[i]);
        }
      });
      float scale[kLanes] = {}, slope[kLanes] = {}, offset[kLanes] = {};
      for (std::int64_t i = 0; i < lanes.count; ++i) {
        const std::int64_t c = lanes.channel + i;
        const double inverse = 1.0 / std::sqrt(static_cast<double>(variance[c]) + eps);
        const double factor = static_cast<double>(weight[c]) * inverse;
        dbias[c] = static_cast<float>(sum[i]);
        dweight[c] = static_cast<float>(product[i] * inverse);
        scale[i] = static_cast<float>(factor);
        slope[i] = static_cast<float>(factor * inverse * inverse * product[i] / number);
        offset[i] = static_cast<float>(factor * sum[i] / number);
      }
      lanes.for_each_pixel([&](std::int64_t at) MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < lanes.count; ++i) {
          dx[at + i] = scale[i] * dy[at + i] - slope[i] * (x[at + i] - centre[i]) - offset[i];
        }
      });
    });
  }
};

}  // namespace

template <>
void emit_backward(const BatchNorm& batch_norm, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  const ValueId x = map_with_runs(builder, source);
  const Layout layout = builder.value(x).layout;
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId dx = builder.new_gradient(source, layout);
  const ValueId mean = builder.extra_output(op.node, PlanOutput::Kind::batch_mean);
  const ValueId variance = builder.extra_output(op.node, PlanOutput::Kind::batch_variance);
  const ValueId dweight = builder.new_weight_gradient(op.node, node.name + ".weight");
  const ValueId dbias = builder.new_weight_gradient(op.node, node.name + ".bias");
  const Operand weight = builder.weight(node.name + ".weight");
  const MapView map(builder.value(x));
  const bool padded = map.channels % map.run != 0;
  const auto run = [=, eps = batch_norm.eps, bytes = builder.value(dx).bytes(),
                    pool = pool_of(builder)](const Buffers& buffers) {
    if (padded) std::memset(buffers.address(dx), 0, bytes);
    const BatchNormGradient gradient{
        input(buffers, x),        input(buffers, dy),       input(buffers, mean),
        input(buffers, variance), weight.address(buffers),  eps,
        output(buffers, dx),      output(buffers, dweight), output(buffers, dbias)};
    spread(pool, Lanes::tasks(map), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) gradient.run(Lanes(map, task));
    });
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weight});
  reads.insert(reads.end(), {x, dy, mean, variance});
  add_backward_loop(op, builder, reads, {dx, dweight, dbias}, run);
  if (builder.wants_gradient(source)) builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
