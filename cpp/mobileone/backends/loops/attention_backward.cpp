#include <algorithm>

#include "mobileone/backends/loops/attention_scores.hpp"
#include "mobileone/backends/loops/emit_backward.hpp"

namespace mobileone::loops {

namespace {

// Of one head of one sequence: with weights P = softmax(Q K^T s) and D = dY V^T,
//   dV = P^T dY,  dS = s P (D - sum over keys of P D),  dQ = dS K,  dK = dS^T Q.
// Weights are made again from the packed projections, a query at a time.
struct AttentionGradient {
  std::int64_t sequences, tokens, width, heads;

  AttentionGradient(const Shape& packed, std::int64_t count)
      : sequences(packed[0]), tokens(packed[1]), width(packed[2] / 3), heads(count) {}

  std::int64_t size() const { return width / heads; }
  std::int64_t tasks() const { return sequences * heads; }
  // Of each thread: keys, values and their gradients with tokens side by side, and one query's
  // weights and their gradients.
  std::int64_t scratch_floats() const { return (4 * size() + 2) * tokens; }

  void run(std::int64_t task, const float* packed, const float* dy, float* dx,
           float* scratch) const {
    const std::int64_t token = task / heads * tokens, column = task % heads * size();
    const std::int64_t stride = 3 * width, floats = size() * tokens;
    const float* const queries = packed + token * stride + column;
    float* const dqueries = dx + token * stride + column;
    float *const keys = scratch, *const values = keys + floats;
    float *const dkeys = values + floats, *const dvalues = dkeys + floats;
    for (std::int64_t k = 0; k < tokens; ++k) {
      for (std::int64_t i = 0; i < size(); ++i) {
        keys[i * tokens + k] = queries[k * stride + width + i];
        values[i * tokens + k] = queries[k * stride + 2 * width + i];
      }
    }
    std::fill_n(dkeys, 2 * floats, 0.f);
    for (std::int64_t query = 0; query < tokens; ++query) {
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        add_query(queries + query * stride, queries + width, dy + (token + query) * width + column,
                  keys, dqueries + query * stride);
      });
    }
    for (std::int64_t k = 0; k < tokens; ++k) {
      for (std::int64_t i = 0; i < size(); ++i) {
        dqueries[k * stride + width + i] = dkeys[i * tokens + k];
        dqueries[k * stride + 2 * width + i] = dvalues[i * tokens + k];
      }
    }
  }

 private:
  // `rows` are the keys as they lie in the projections, `keys` the scratch.
  MOBILEONE_INLINE void add_query(const float* query, const float* rows, const float* dy,
                                  float* keys, float* dquery) const {
    const std::int64_t floats = size() * tokens;
    const float* const values = keys + floats;
    float *const dkeys = keys + 2 * floats, *const dvalues = keys + 3 * floats;
    float *const weights = keys + 4 * floats, *const dweights = weights + tokens;
    const float total = exponential_scores(query, keys, size(), tokens, weights);
#pragma GCC ivdep
    for (std::int64_t k = 0; k < tokens; ++k) weights[k] /= total;
    products(dy, values, size(), tokens, dweights);
    double mean = 0.0;
    for (std::int64_t k = 0; k < tokens; ++k) {
      mean += static_cast<double>(weights[k]) * static_cast<double>(dweights[k]);
    }
    const auto centre = static_cast<float>(mean);
    for (std::int64_t i = 0; i < size(); ++i) {
      const float factor = dy[i];
      float* const row = dvalues + i * tokens;
#pragma GCC ivdep
      for (std::int64_t k = 0; k < tokens; ++k) row[k] += factor * weights[k];
    }
    const float scale = scale_of_scores(size());
    // From here on the weights are the scores' gradients.
#pragma GCC ivdep
    for (std::int64_t k = 0; k < tokens; ++k) {
      weights[k] = scale * weights[k] * (dweights[k] - centre);
    }
    std::fill_n(dquery, size(), 0.f);
    for (std::int64_t k = 0; k < tokens; ++k) {
      const float factor = weights[k];
      const float* const row = rows + k * 3 * width;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < size(); ++i) dquery[i] += factor * row[i];
    }
    for (std::int64_t i = 0; i < size(); ++i) {
      const float factor = query[i];
      float* const row = dkeys + i * tokens;
#pragma GCC ivdep
      for (std::int64_t k = 0; k < tokens; ++k) row[k] += factor * weights[k];
    }
  }
};

}  // namespace

template <>
void emit_backward(const Attention& attention, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId x = builder.in_layout(source, Layout::nchw());
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const AttentionGradient gradient(builder.shape(source), attention.heads);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, gradient.tasks(), [&](std::int64_t begin, std::int64_t end, int worker) {
      float* const scratch = scratch_of(worker, gradient.scratch_floats(), buffers);
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.run(task, input(buffers, x), input(buffers, dy), output(buffers, dx), scratch);
      }
    });
  };
  add_backward_loop(op, builder, {x, dy}, {dx}, run,
                    scratch_bytes(builder, gradient.scratch_floats()));
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
