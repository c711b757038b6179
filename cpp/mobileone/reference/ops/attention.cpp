#include <algorithm>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// The parts of packed projections [B, N, 3 d]: one head's queries (part 0), keys and values.
struct Packed {
  const ReferenceTensor& x;
  std::size_t heads, tokens, width, head_size;

  Packed(const ReferenceTensor& packed, std::int64_t head_count)
      : x(packed),
        heads(to_index(head_count)),
        tokens(to_index(packed.shape[1])),
        width(to_index(packed.shape[2] / 3)),
        head_size(width / heads) {}

  std::size_t place(std::size_t sequence, std::size_t head, std::size_t part,
                    std::size_t token) const {
    return (sequence * tokens + token) * 3 * width + part * width + head * head_size;
  }
  const double* row(std::size_t sequence, std::size_t head, std::size_t part,
                    std::size_t token) const {
    return x.values.data() + place(sequence, head, part, token);
  }
  // Rows of scores, one per sequence, head and query, that are worth a thread.
  std::int64_t grain() const { return 1 + kGrain / static_cast<std::int64_t>(tokens * head_size); }
};

// result = f(x[s], s) for every sequence s of x [B, N, C], given as [1, N, C]; scores of one
// sequence fill less memory than those of all.
template <typename Function>
ReferenceTensor for_each_sequence(const ReferenceTensor& x, const Function& f) {
  const Shape one{1, x.shape[1], x.shape[2]};
  const auto size = static_cast<std::ptrdiff_t>(element_count(one));
  ReferenceTensor y{{0, x.shape[1], x.shape[2]}, {}};
  for (std::int64_t s = 0; s < x.shape[0]; ++s) {
    const auto first = x.values.begin() + s * size;
    const ReferenceTensor result = f(ReferenceTensor{one, Values(first, first + size)}, s);
    y.shape = result.shape;
    y.values.insert(y.values.end(), result.values.begin(), result.values.end());
  }
  y.shape[0] = x.shape[0];
  return y;
}

// x [B, N, 3 d]. Result [B, heads, N, N]: q_i . k_j, unscaled; with `squares` the sum of the
// squared products instead.
ReferenceTensor query_key_products(const ReferenceTensor& x, std::int64_t heads, bool squares,
                                   int threads) {
  const Packed packed(x, heads);
  ReferenceTensor y{{x.shape[0], heads, x.shape[1], x.shape[1]}, {}};
  y.values.resize(to_index(element_count(y.shape)));
  const std::int64_t rows = x.shape[0] * heads * x.shape[1];
  parallel_for(rows, packed.grain(), threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t row = to_index(begin); row < to_index(end); ++row) {
      const std::size_t head = row / packed.tokens % packed.heads;
      const std::size_t sequence = row / packed.tokens / packed.heads;
      const double* q = packed.row(sequence, head, 0, row % packed.tokens);
      for (std::size_t j = 0; j < packed.tokens; ++j) {
        const double* k = packed.row(sequence, head, 1, j);
        double sum = 0.0;
        for (std::size_t f = 0; f < packed.head_size; ++f) {
          const double product = q[f] * k[f];
          sum += squares ? product * product : product;
        }
        y.values[row * packed.tokens + j] = sum;
      }
    }
  });
  return y;
}

double scale_of(const Shape& x, std::int64_t heads) {
  return 1.0 / std::sqrt(static_cast<double>(x[2] / 3 / heads));
}

ReferenceTensor scaled_scores(const ReferenceTensor& x, std::int64_t heads, int threads) {
  ReferenceTensor scores = query_key_products(x, heads, false, threads);
  const double scale = scale_of(x.shape, heads);
  for (double& score : scores.values) score *= scale;
  return scores;
}

// Over the last dimension, in place; each row is multiplied with its gain.
void softmax(ReferenceTensor& scores, const Values& gains, int threads) {
  const std::int64_t keys = scores.shape.back();
  parallel_for(static_cast<std::int64_t>(gains.size()), 1 + kGrain / keys, threads,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   double* first = scores.values.data() + row * keys;
                   double* last = first + keys;
                   const double largest = *std::max_element(first, last);
                   double sum = 0.0;
                   for (double* s = first; s != last; ++s) {
                     *s = std::exp(*s - largest);
                     sum += *s;
                   }
                   const double factor = gains[to_index(row)] / sum;
                   for (double* s = first; s != last; ++s) *s *= factor;
                 }
               });
}

// weights [B, heads, N, N] times the values of x: [B, N, d]; with `squares` the sum of the squared
// products.
ReferenceTensor attend(const ReferenceTensor& x, const ReferenceTensor& weights, bool squares,
                       int threads) {
  const Packed packed(x, weights.shape[1]);
  ReferenceTensor y{{x.shape[0], x.shape[1], x.shape[2] / 3}, {}};
  y.values.resize(to_index(element_count(y.shape)));
  const std::int64_t rows = x.shape[0] * weights.shape[1] * x.shape[1];
  parallel_for(rows, packed.grain(), threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t row = to_index(begin); row < to_index(end); ++row) {
      const std::size_t head = row / packed.tokens % packed.heads;
      const std::size_t sequence = row / packed.tokens / packed.heads;
      double* to = y.values.data() +
                   (sequence * packed.tokens + row % packed.tokens) * packed.width +
                   head * packed.head_size;
      for (std::size_t j = 0; j < packed.tokens; ++j) {
        const double weight = weights.values[row * packed.tokens + j];
        const double* v = packed.row(sequence, head, 2, j);
        for (std::size_t f = 0; f < packed.head_size; ++f) {
          const double product = weight * v[f];
          to[f] += squares ? product * product : product;
        }
      }
    }
  });
  return y;
}

// fp32's errors of one sequence's scores [1, heads, N, N] and of the sums that its rows are divided
// by. An exponential's relative error is an error of its score. A score's own: (3) of its products,
// the scale's and the product's rounding, that of the difference to the largest one.
void round(const ReferenceTensor& x, const Signs& score_signs, const Signs& gain_signs,
           ReferenceTensor& scores, Values& gains) {
  const std::int64_t heads = scores.shape[1];
  const ReferenceTensor squares = query_key_products(x, heads, true, 1);
  const std::size_t keys = to_index(scores.shape[3]);
  const auto terms = static_cast<double>(x.shape[2] / 3 / heads);
  const double scale = scale_of(x.shape, heads);
  for (std::size_t row = 0; row < gains.size(); ++row) {
    double* score = scores.values.data() + row * keys;
    const double largest = *std::max_element(score, score + keys);
    double sum = 0.0, sum_squares = 0.0;
    for (std::size_t j = 0; j < keys; ++j) {
      const double weight = std::exp(score[j] - largest);
      sum += weight;
      sum_squares += weight * weight;
      const double product =
          scale * sum_deviation(terms, score[j] / scale, squares.values[row * keys + j], true);
      const double own = std::hypot(std::sqrt(2.0) * score[j], score[j] - largest, kExpError);
      score[j] += score_signs(row * keys + j) * std::hypot(product, kUnitRoundoff * own);
    }
    const double total = sum_deviation(static_cast<double>(keys), sum, sum_squares, false) / sum;
    gains[row] += gain_signs(row) * std::hypot(total, kUnitRoundoff);
  }
}

// Of one sequence x [1, N, 3 d], `dy` [N, d] the gradient by its result. With the weights P:
//   dV = P^T dY,  dP = dY V^T,  dS = P (dP - sum over keys of P dP),  dQ = dS K s,  dK = dS^T Q s.
ReferenceTensor attention_vjp(const ReferenceTensor& x, const double* dy, std::int64_t heads,
                              int threads) {
  ReferenceTensor weights = scaled_scores(x, heads, threads);
  softmax(weights, Values(to_index(heads * x.shape[1]), 1.0), threads);
  const Packed packed(x, heads);
  const std::size_t tokens = packed.tokens, size = packed.head_size;
  const double scale = scale_of(x.shape, heads);
  ReferenceTensor dx = zeros(x.shape);
  Values dweights(tokens);
  for (std::size_t head = 0; head < packed.heads; ++head) {
    for (std::size_t i = 0; i < tokens; ++i) {
      const double* p = weights.values.data() + (head * tokens + i) * tokens;
      const double* from = dy + i * packed.width + head * size;
      double mean = 0.0;  // of dP, by the weights
      for (std::size_t j = 0; j < tokens; ++j) {
        const double* v = packed.row(0, head, 2, j);
        double* dv = dx.values.data() + packed.place(0, head, 2, j);
        dweights[j] = 0.0;
        for (std::size_t f = 0; f < size; ++f) {
          dweights[j] += from[f] * v[f];
          dv[f] += p[j] * from[f];
        }
        mean += p[j] * dweights[j];
      }
      const double* q = packed.row(0, head, 0, i);
      double* dq = dx.values.data() + packed.place(0, head, 0, i);
      for (std::size_t j = 0; j < tokens; ++j) {
        const double* k = packed.row(0, head, 1, j);
        double* dk = dx.values.data() + packed.place(0, head, 1, j);
        const double dscore = scale * p[j] * (dweights[j] - mean);
        for (std::size_t f = 0; f < size; ++f) {
          dq[f] += dscore * k[f];
          dk[f] += dscore * q[f];
        }
      }
    }
  }
  return dx;
}

}  // namespace

template <>
ReferenceTensor evaluate(const Attention& op, const Call& call) {
  return for_each_sequence(call.input(), [&](const ReferenceTensor& x, std::int64_t sequence) {
    ReferenceTensor scores = scaled_scores(x, op.heads, call.threads());
    Values gains(to_index(op.heads * x.shape[1]), 1.0);
    if (call.rounding) {
      const std::string name = concat(call.name(), ".", sequence);
      round(x, call.rounding->signs(name + ".scores"), call.rounding->signs(name + ".gains"),
            scores, gains);
    }
    softmax(scores, gains, call.threads());
    return attend(x, scores, false, call.threads());
  });
}

// The weighted sum of values and its division; what happens to the weights before is shared by a
// head's features.
template <>
Values deviation(const Attention& op, const Call& call, const ReferenceTensor& y) {
  const auto squares_of = [&](const ReferenceTensor& x, std::int64_t) {
    ReferenceTensor weights = scaled_scores(x, op.heads, call.threads());
    softmax(weights, Values(to_index(op.heads * x.shape[1]), 1.0), call.threads());
    return attend(x, weights, true, call.threads());
  };
  const ReferenceTensor squares = for_each_sequence(call.input(), squares_of);
  const auto terms = static_cast<double>(call.input().shape[1]);
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    return std::hypot(sum_deviation(terms, y.values[i], squares.values[i], true),
                      kUnitRoundoff * y.values[i]);
  });
}

template <>
Gradients vjp(const Attention& op, const Call& call, const ReferenceTensor& gradient) {
  const std::int64_t sequence_size = call.shape()[1] * call.shape()[2];
  return {{for_each_sequence(call.input(),
                             [&](const ReferenceTensor& x, std::int64_t sequence) {
                               const double* dy = gradient.values.data() + sequence * sequence_size;
                               return attention_vjp(x, dy, op.heads, call.threads());
                             })},
          {}};
}

}  // namespace mobileone::reference
