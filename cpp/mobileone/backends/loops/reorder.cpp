#include <cstring>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::loops {

namespace {

// Sequences and vectors have one layout only: a copy, e.g. into the caller's memory.
std::unique_ptr<Step> copy_step(StepInfo info, ValueId from, ValueId to, std::size_t bytes) {
  return function_step(std::move(info), [=](const Buffers& buffers) {
    std::memcpy(buffers.address(to), buffers.address(from), bytes);
  });
}

}  // namespace

std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder) {
  const Value& source = builder.value(from);
  const Value& target = builder.value(to);
  if (source.layout.border != 0 || target.layout.border != 0) return nullptr;
  StepInfo info;
  info.name = concat(to_string(source.layout), " -> ", to_string(target.layout));
  info.kind = "Reorder";
  info.implementation = "loops";
  info.input_shapes = {source.shape};
  info.output_shape = target.shape;
  info.bytes = static_cast<std::int64_t>(source.bytes() + target.bytes());
  if (source.shape.size() != 4) return copy_step(std::move(info), from, to, target.bytes());

  const MapView src(source), dst(target);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, dst.images * dst.height, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t image = task / dst.height, row = task % dst.height;
        // Padding channels of a block hold zeros.
        for (std::int64_t c = 0; c < dst.runs() * dst.run; ++c) {
          const float* x =
              c < src.channels ? input(buffers, from) + src.at(image, c, row, 0) : nullptr;
          float* y = output(buffers, to) + dst.at(image, c, row, 0);
          for (std::int64_t column = 0; column < dst.width; ++column) {
            y[column * dst.run] = x ? x[column * src.run] : 0.f;
          }
        }
      }
    });
  };
  return function_step(std::move(info), run);
}

}  // namespace mobileone::loops
