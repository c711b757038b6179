// Operators whose result's elements depend on one element of each input.
#pragma once

#include "mobileone/backends/loops/activation.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

// Adds a step that calls run(x, y, count) on pieces of memory, x(i) being a piece of input i,
// and then applies the attached activation. All inputs are brought into the first one's layout.
template <typename Run>
void add_elementwise(const LoweredOp& op, PlanBuilder& builder, const std::vector<NodeId>& inputs,
                     Run run) {
  constexpr std::int64_t kPiece = 4096;  // floats: pieces of a few inputs fit the first-level cache
  const Layout layout = builder.value(dense_map(builder, inputs[0])).layout;
  std::vector<ValueId> sources;
  for (NodeId input : inputs) sources.push_back(builder.in_layout(input, layout));
  const ValueId result = builder.new_result(op.result, layout);
  const std::int64_t count = element_count(builder.shape(op.result));
  const auto step = [=, activation = op.activation,
                     pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, (count + kPiece - 1) / kPiece, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t piece = begin; piece < end; ++piece) {
        const std::int64_t first = piece * kPiece;
        const std::int64_t floats = std::min(kPiece, count - first);
        float* const y = output(buffers, result) + first;
        run([&](std::size_t i) { return input(buffers, sources[i]) + first; }, y, floats);
        activate(activation, y, floats);
      }
    });
  };
  add_loop(op, builder, sources, {result}, step);
}

}  // namespace mobileone::loops
