#include <cstring>

#include "mobileone/backends/onednn/map_view.hpp"
#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

// Unfold and Fold: one copy between a feature map and token sequences, in either direction.
namespace mobileone::onednn {

namespace {

enum class Direction { unfold, fold };

struct Copy {
  MapView map;
  Extent patch;
  Direction direction;
  ValueId src, dst;

  // One task copies the tokens of one row of patches at one position inside the patch.
  std::int64_t patch_rows() const { return map.height / patch[0]; }
  std::int64_t patch_columns() const { return map.width / patch[1]; }
  std::int64_t tasks() const { return map.images * patch[0] * patch[1] * patch_rows(); }
};

class BoundCopy : public BoundStep {
 public:
  BoundCopy(const Copy& copy, const Buffers& buffers) : copy_(copy), buffers_(buffers) {}

  void run() override {
    const auto* src = static_cast<const float*>(buffers_.address(copy_.src));
    auto* dst = static_cast<float*>(buffers_.address(copy_.dst));
    const int threads = buffers_.threads();
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (std::int64_t task = 0; task < copy_.tasks(); ++task) copy_row(task, src, dst);
  }

 private:
  // Tokens lie in the order of the tasks: [image][position][patch row][patch column][channel].
  void copy_row(std::int64_t task, const float* src, float* dst) const {
    const MapView& map = copy_.map;
    const std::int64_t columns = copy_.patch_columns(), patch_row = task % copy_.patch_rows();
    const std::int64_t sequence = task / copy_.patch_rows();
    const std::int64_t position = sequence % (copy_.patch[0] * copy_.patch[1]);
    const std::int64_t image = sequence / (copy_.patch[0] * copy_.patch[1]);
    const std::int64_t row = patch_row * copy_.patch[0] + position / copy_.patch[1];
    const std::int64_t first = position % copy_.patch[1];
    for (std::int64_t channel = 0; channel < map.channels; channel += map.run) {
      const std::size_t bytes = static_cast<std::size_t>(map.length(channel)) * sizeof(float);
      for (std::int64_t column = 0; column < columns; ++column) {
        const std::int64_t token = (task * columns + column) * map.channels + channel;
        const std::int64_t pixel = map.at(image, channel, row, column * copy_.patch[1] + first);
        if (copy_.direction == Direction::unfold) {
          std::memcpy(dst + token, src + pixel, bytes);
        } else {
          std::memcpy(dst + pixel, src + token, bytes);
        }
      }
    }
  }

  const Copy& copy_;
  const Buffers& buffers_;
};

class CopyStep : public Step {
 public:
  CopyStep(StepInfo info, const Copy& copy) : Step(std::move(info)), copy_(copy) {}
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundCopy>(copy_, buffers);
  }

 private:
  Copy copy_;
};

void add_copy(const Copy& copy, const LoweredOp& op, PlanBuilder& builder) {
  builder.add_step(std::make_unique<CopyStep>(describe(op, builder, "mobileone loop"), copy),
                   {copy.src}, {copy.dst});
}

}  // namespace

void emit(const Unfold& unfold, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = value_with_runs(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  add_copy({MapView(builder.value(src)), unfold.patch, Direction::unfold, src, dst}, op, builder);
}

void emit(const Fold& fold, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = builder.value_of(builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, preferred_layout(builder.shape(op.result)));
  add_copy({MapView(builder.value(dst)), fold.patch, Direction::fold, src, dst}, op, builder);
}

}  // namespace mobileone::onednn
