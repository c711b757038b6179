#include <algorithm>

#include "mobileone/backends/loops/attention_scores.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

namespace {

// Queries that share a transposed copy of their head's keys.
constexpr std::int64_t kQueries = 64;

// Sizes of [sequences, tokens, 3 width] -> [sequences, tokens, width].
struct Heads {
  std::int64_t sequences, tokens, width, heads;

  Heads(const Shape& packed, std::int64_t count)
      : sequences(packed[0]), tokens(packed[1]), width(packed[2] / 3), heads(count) {}

  std::int64_t size() const { return width / heads; }
  std::int64_t tiles() const { return (tokens + kQueries - 1) / kQueries; }
  // One task: a tile of queries of one head of one sequence.
  std::int64_t tasks() const { return sequences * heads * tiles(); }
  // Of each thread: the keys with tokens side by side, and one query's scores.
  std::int64_t scratch_floats() const { return (size() + 1) * tokens; }

  void run(std::int64_t task, const float* packed, float* result, float* scratch) const {
    const std::int64_t tile = task % tiles(), head = task / tiles() % heads;
    const std::int64_t token = task / tiles() / heads * tokens, column = head * size();
    const float* const queries = packed + token * 3 * width + column;
    const float* const keys = queries + width;
    const float* const values = keys + width;
    float* const scores = scratch + size() * tokens;
    for (std::int64_t k = 0; k < tokens; ++k) {
      for (std::int64_t i = 0; i < size(); ++i) scratch[i * tokens + k] = keys[k * 3 * width + i];
    }
    const std::int64_t last = std::min(tokens, (tile + 1) * kQueries);
    for (std::int64_t query = tile * kQueries; query < last; ++query) {
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        attend(queries + query * 3 * width, scratch, values, scores,
               result + (token + query) * width + column);
      });
    }
  }

 private:
  MOBILEONE_INLINE void attend(const float* query, const float* keys, const float* values,
                               float* scores, float* result) const {
    const float total = exponential_scores(query, keys, size(), tokens, scores);
    std::fill_n(result, size(), 0.f);
    for (std::int64_t k = 0; k < tokens; ++k) {
      const float weight = scores[k];
      const float* const value = values + k * 3 * width;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < size(); ++i) result[i] += weight * value[i];
    }
    for (std::int64_t i = 0; i < size(); ++i) result[i] /= total;
  }
};

}  // namespace

template <>
void emit(const Attention& attention, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId packed = builder.node(op.node).inputs[0];
  const ValueId src = builder.value_of(packed);
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const Heads heads(builder.shape(packed), attention.heads);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, heads.tasks(), [&](std::int64_t begin, std::int64_t end, int worker) {
      float* const scratch = scratch_of(worker, heads.scratch_floats(), buffers);
      for (std::int64_t task = begin; task < end; ++task) {
        heads.run(task, input(buffers, src), output(buffers, dst), scratch);
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run, scratch_bytes(builder, heads.scratch_floats()));
}

}  // namespace mobileone::loops
