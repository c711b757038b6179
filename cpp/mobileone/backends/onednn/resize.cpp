#include <cmath>
#include <vector>

#include "mobileone/backends/onednn/map_view.hpp"
#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

// A loop of our own: oneDNN's resampling computes its weights in fp32, whose error grows with the
// position.
namespace mobileone::onednn {

namespace {

// For each position along one axis of the result: two source positions and their weights.
struct Axis {
  std::vector<std::int64_t> low, high;
  std::vector<float> low_weight, high_weight;

  // Pixel centres are aligned; positions beyond the outer ones take their value.
  Axis(std::int64_t from, std::int64_t to) {
    for (std::int64_t i = 0; i < to; ++i) {
      const double scale = static_cast<double>(from) / static_cast<double>(to);
      const double position = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
      low.push_back(std::min(static_cast<std::int64_t>(position), from - 1));
      high.push_back(std::min(low.back() + 1, from - 1));
      const double fraction = position - static_cast<double>(low.back());
      low_weight.push_back(static_cast<float>(1.0 - fraction));
      high_weight.push_back(static_cast<float>(fraction));
    }
  }
};

struct Interpolation {
  MapView from, to;
  Axis rows, columns;
  ValueId src, dst;
};

// `count` channels of four source pixels, two rows of two.
void interpolate(const float* const* pixels, const float* row_weights, const float* column_weights,
                 std::int64_t count, float* out) {
  const float* const a = pixels[0];
  const float* const b = pixels[1];
  const float* const c = pixels[2];
  const float* const d = pixels[3];
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float above = column_weights[0] * a[i] + column_weights[1] * b[i];
    const float below = column_weights[0] * c[i] + column_weights[1] * d[i];
    out[i] = row_weights[0] * above + row_weights[1] * below;
  }
}

class BoundResize : public BoundStep {
 public:
  BoundResize(const Interpolation& op, const Buffers& buffers) : op_(op), buffers_(buffers) {}

  void run() override {
    const auto* src = static_cast<const float*>(buffers_.address(op_.src));
    auto* dst = static_cast<float*>(buffers_.address(op_.dst));
    const int threads = buffers_.threads();
    const std::int64_t tasks = op_.to.images * op_.to.height;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (std::int64_t task = 0; task < tasks; ++task) {
      resize_row(task / op_.to.height, task % op_.to.height, src, dst);
    }
  }

 private:
  void resize_row(std::int64_t image, std::int64_t row, const float* src, float* dst) const {
    const auto y = static_cast<std::size_t>(row);
    const float row_weights[] = {op_.rows.low_weight[y], op_.rows.high_weight[y]};
    for (std::int64_t channel = 0; channel < op_.to.channels; channel += op_.to.run) {
      for (std::int64_t column = 0; column < op_.to.width; ++column) {
        const auto x = static_cast<std::size_t>(column);
        const float column_weights[] = {op_.columns.low_weight[x], op_.columns.high_weight[x]};
        const float* pixels[4];
        for (std::size_t i = 0; i < 4; ++i) {
          const std::int64_t from_row = i < 2 ? op_.rows.low[y] : op_.rows.high[y];
          const std::int64_t from_column = i % 2 == 0 ? op_.columns.low[x] : op_.columns.high[x];
          pixels[i] = src + op_.from.at(image, channel, from_row, from_column);
        }
        interpolate(pixels, row_weights, column_weights, op_.to.length(channel),
                    dst + op_.to.at(image, channel, row, column));
      }
    }
  }

  const Interpolation& op_;
  const Buffers& buffers_;
};

class ResizeStep : public Step {
 public:
  ResizeStep(StepInfo info, Interpolation op) : Step(std::move(info)), op_(std::move(op)) {}
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundResize>(op_, buffers);
  }

 private:
  Interpolation op_;
};

}  // namespace

void emit(const Resize&, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  const Shape& from = builder.shape(input);
  const Shape& to = builder.shape(op.result);
  if (from == to) {
    builder.alias(op.result, input);
    return;
  }
  // One pixel's layout says nothing of how its channels lie beside other pixels: nhwc for both.
  const bool one_pixel = from[2] * from[3] == 1 || to[2] * to[3] == 1;
  const Layout layout = one_pixel ? Layout::nhwc() : preferred_layout(to);
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, layout);
  Interpolation interpolation{MapView(builder.value(src)),
                              MapView(builder.value(dst)),
                              Axis(from[2], to[2]),
                              Axis(from[3], to[3]),
                              src,
                              dst};
  builder.add_step(std::make_unique<ResizeStep>(describe(op, builder, "mobileone loop"),
                                                std::move(interpolation)),
                   {src}, {dst});
}

}  // namespace mobileone::onednn
