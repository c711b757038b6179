#include "mobileone/reference/tokens.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/reference/parallel.hpp"

namespace mobileone::reference {

namespace {

constexpr std::int64_t kGrain = 1 << 14;  // products that are worth a thread

std::size_t to_index(std::int64_t value) { return static_cast<std::size_t>(value); }

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

  const double* row(std::size_t sequence, std::size_t head, std::size_t part,
                    std::size_t token) const {
    return x.values.data() + (sequence * tokens + token) * 3 * width + part * width +
           head * head_size;
  }
};

// Where row-major pixels of [B, C, H, W] lie in the sequences [B h w, N, C].
template <typename Visit>
void for_each_pixel(const Shape& map, const Extent& patch, const Visit& visit) {
  const std::int64_t positions = patch[0] * patch[1], columns = map[3] / patch[1];
  const std::int64_t tokens = map[2] * map[3] / positions;
  std::size_t at = 0;
  for (std::int64_t image = 0; image < map[0]; ++image) {
    for (std::int64_t channel = 0; channel < map[1]; ++channel) {
      for (std::int64_t row = 0; row < map[2]; ++row) {
        for (std::int64_t column = 0; column < map[3]; ++column, ++at) {
          const std::int64_t position = row % patch[0] * patch[1] + column % patch[1];
          const std::int64_t token = row / patch[0] * columns + column / patch[1];
          const std::int64_t sequence = image * positions + position;
          visit(at, to_index((sequence * tokens + token) * map[1] + channel));
        }
      }
    }
  }
}

}  // namespace

RowStatistics row_statistics(const ReferenceTensor& x, double eps, int threads) {
  const std::int64_t channels = x.shape.back();
  const std::int64_t rows = element_count(x.shape) / channels;
  RowStatistics result{Values(to_index(rows)), Values(to_index(rows))};
  parallel_for(rows, 1 + kGrain / channels, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const double* from = x.values.data() + row * channels;
      double sum = 0.0, squares = 0.0;
      for (std::int64_t c = 0; c < channels; ++c) sum += from[c];
      const double mean = sum / static_cast<double>(channels);
      for (std::int64_t c = 0; c < channels; ++c) squares += (from[c] - mean) * (from[c] - mean);
      result.mean[to_index(row)] = mean;
      result.scale[to_index(row)] = 1.0 / std::sqrt(squares / static_cast<double>(channels) + eps);
    }
  });
  return result;
}

ReferenceTensor normalize_rows(const ReferenceTensor& x, const RowStatistics& statistics,
                               const Values& gamma, const Values& beta, int threads) {
  ReferenceTensor y{x.shape, Values(x.values.size())};
  const std::size_t channels = gamma.size();
  parallel_for(static_cast<std::int64_t>(x.values.size()), kGrain, threads,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::size_t i = to_index(begin); i < to_index(end); ++i) {
                   const std::size_t row = i / channels, c = i % channels;
                   const double centred = x.values[i] - statistics.mean[row];
                   y.values[i] = centred * statistics.scale[row] * gamma[c] + beta[c];
                 }
               });
  return y;
}

ReferenceTensor attention_products(const ReferenceTensor& x, std::int64_t heads, bool squares,
                                   int threads) {
  const Packed packed(x, heads);
  ReferenceTensor y{{x.shape[0], heads, x.shape[1], x.shape[1]}, {}};
  y.values.resize(to_index(element_count(y.shape)));
  const std::int64_t rows = x.shape[0] * heads * x.shape[1];
  const std::int64_t grain =
      1 + kGrain / (x.shape[1] * static_cast<std::int64_t>(packed.head_size));
  parallel_for(rows, grain, threads, [&](std::int64_t begin, std::int64_t end) {
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

double attention_scale(const Shape& x, std::int64_t heads) {
  return 1.0 / std::sqrt(static_cast<double>(x[2] / 3 / heads));
}

void softmax(ReferenceTensor& scores, const Values& gains, int threads) {
  const std::int64_t keys = scores.shape.back();
  parallel_for(static_cast<std::int64_t>(gains.size()), 1 + kGrain / keys, threads,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   double* first = scores.values.data() + row * keys;
                   double* last = first + keys;
                   const double largest = *std::max_element(first, last);
                   double sum = 0.0;
                   for (double* s = first; s != last; ++s) sum += * s = std::exp(*s - largest);
                   const double factor = gains[to_index(row)] / sum;
                   for (double* s = first; s != last; ++s) *s *= factor;
                 }
               });
}

ReferenceTensor attend(const ReferenceTensor& x, const ReferenceTensor& weights, bool squares,
                       int threads) {
  const Packed packed(x, weights.shape[1]);
  ReferenceTensor y{{x.shape[0], x.shape[1], x.shape[2] / 3}, {}};
  y.values.resize(to_index(element_count(y.shape)));
  const std::int64_t rows = x.shape[0] * weights.shape[1] * x.shape[1];
  const std::int64_t grain =
      1 + kGrain / (x.shape[1] * static_cast<std::int64_t>(packed.head_size));
  parallel_for(rows, grain, threads, [&](std::int64_t begin, std::int64_t end) {
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

ReferenceTensor unfold(const ReferenceTensor& x, const Extent& patch, const Shape& shape) {
  ReferenceTensor y{shape, Values(x.values.size())};
  for_each_pixel(x.shape, patch,
                 [&](std::size_t pixel, std::size_t token) { y.values[token] = x.values[pixel]; });
  return y;
}

ReferenceTensor fold(const ReferenceTensor& x, const Extent& patch, const Shape& shape) {
  ReferenceTensor y{shape, Values(x.values.size())};
  for_each_pixel(shape, patch,
                 [&](std::size_t pixel, std::size_t token) { y.values[pixel] = x.values[token]; });
  return y;
}

}  // namespace mobileone::reference
