#include "mobileone/reference/rounding.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/base/error.hpp"
#include "mobileone/reference/parallel.hpp"

namespace mobileone::reference {

namespace {

// SplitMix64's output function (Steele et al. 2014): a hash whose bits are uniform.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// The random sign of element i in a stream; 64 elements share one hash.
double sign_at(std::uint64_t stream, std::size_t i) {
  const std::uint64_t bits = mix(stream + (i / 64 + 1) * 0x9e3779b97f4a7c15ULL);
  return 1.0 - 2.0 * static_cast<double>((bits >> (i % 64)) & 1);
}

// body(i, sign of element i) for i in [0, count), the hash computed once per 64 elements.
template <typename Body>
void for_each_sign(std::uint64_t stream, std::size_t count, int threads, const Body& body) {
  const auto blocks = static_cast<std::int64_t>((count + 63) / 64);
  parallel_for(blocks, 1 << 10, threads, [&](std::int64_t begin, std::int64_t end) {
    for (auto block = static_cast<std::size_t>(begin); block < static_cast<std::size_t>(end);
         ++block) {
      std::uint64_t bits = mix(stream + (block + 1) * 0x9e3779b97f4a7c15ULL);
      for (std::size_t i = block * 64; i < std::min(count, block * 64 + 64); ++i, bits >>= 1) {
        body(i, 1.0 - 2.0 * static_cast<double>(bits & 1));
      }
    }
  });
}

}  // namespace

RandomRounding::RandomRounding(std::uint64_t seed, int sample)
    : seed_(mix(mix(seed) + static_cast<std::uint64_t>(sample))) {}

std::uint64_t RandomRounding::stream(const std::string& name) const {
  std::uint64_t hash = seed_;
  for (char c : name) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

void RandomRounding::weight(const std::string& name, Values& values) const {
  for_each_sign(stream(name), values.size(), 1,
                [&](std::size_t i, double sign) { values[i] += sign * kUnitRoundoff * values[i]; });
}

void RandomRounding::statistics(const std::string& node, const ReferenceTensor& x,
                                ChannelStatistics& statistics) const {
  const std::uint64_t mean_errors = stream(node + ".batch_mean");
  const std::uint64_t var_errors = stream(node + ".batch_var");
  Affine centre{Values(statistics.mean.size(), 1.0), statistics.mean};
  for (double& shift : centre.shift) shift = -shift;
  const ReferenceTensor centred = apply_affine(x, centre, 1);
  const ChannelStatistics fourth = channel_statistics(squared(centred, 1), 1);
  const auto count = static_cast<double>(element_count(x.shape) / x.shape[1]);
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const double mean = statistics.mean[c], var = statistics.var[c];
    // Sums over the batch of x and of x^2, and of (x - mean)^2 and its square.
    const double mean_error =
        sum_deviation(count, mean * count, (mean * mean + var) * count, false);
    const double fourths = (fourth.var[c] + fourth.mean[c] * fourth.mean[c]) * count;
    const double var_error = sum_deviation(count, var * count, 4.0 * fourths, true);
    statistics.mean[c] +=
        sign_at(mean_errors, c) * std::hypot(mean_error / count, kUnitRoundoff * mean);
    statistics.var[c] +=
        sign_at(var_errors, c) * std::hypot(var_error / count, kUnitRoundoff * var);
  }
}

void RandomRounding::affine(const std::string& node, const ChannelStatistics& statistics,
                            Affine& affine) const {
  const std::uint64_t scale_errors = stream(node + ".scale");
  const std::uint64_t shift_errors = stream(node + ".shift");
  for (std::size_t c = 0; c < affine.scale.size(); ++c) {
    // sqrt halves the error of var + eps; sqrt and division add one rounding each, the product
    // with a convolution's weight a fourth: (1/4 + 1 + 1 + 1) u^2 < (2 u)^2.
    const double error = sign_at(scale_errors, c) * 2.0 * kUnitRoundoff * affine.scale[c];
    const double offset = statistics.mean[c] * affine.scale[c];
    const double shift = affine.shift[c];
    affine.scale[c] += error;
    affine.shift[c] -= statistics.mean[c] * error;
    affine.shift[c] += sign_at(shift_errors, c) * kUnitRoundoff * std::hypot(offset, shift);
  }
}

void RandomRounding::rows(const std::string& node, const ReferenceTensor& x, double eps,
                          RowStatistics& statistics) const {
  const std::uint64_t mean_errors = stream(node + ".row_mean");
  const std::uint64_t scale_errors = stream(node + ".row_scale");
  const auto channels = static_cast<std::size_t>(x.shape.back());
  const auto count = static_cast<double>(channels);
  for (std::size_t row = 0; row < statistics.mean.size(); ++row) {
    const double* from = x.values.data() + row * channels;
    const double mean = statistics.mean[row], scale = statistics.scale[row];
    double squares = 0.0, fourths = 0.0;
    for (std::size_t c = 0; c < channels; ++c) {
      squares += from[c] * from[c];
      const double centred = (from[c] - mean) * (from[c] - mean);
      fourths += centred * centred;
    }
    const double var = 1.0 / (scale * scale) - eps;
    const double mean_error = sum_deviation(count, mean * count, squares, false) / count;
    const double var_error = sum_deviation(count, var * count, 4.0 * fourths, true) / count;
    // As a batch norm's: var + eps is rounded once more, its error is halved by the root; then root
    // and division.
    const double relative = std::hypot(var_error, kUnitRoundoff * var) * scale * scale / 2.0;
    statistics.mean[row] +=
        sign_at(mean_errors, row) * std::hypot(mean_error, kUnitRoundoff * mean);
    statistics.scale[row] *=
        1.0 + sign_at(scale_errors, row) * std::hypot(relative, kUnitRoundoff * std::sqrt(2.25));
  }
}

// An exponential's relative error is an error of its score. A score's own: (3) of its products, the
// scale's and the product's rounding, that of the difference to the largest one.
void RandomRounding::attention(const std::string& node, const ReferenceTensor& x,
                               ReferenceTensor& scores, Values& gains) const {
  const std::uint64_t score_errors = stream(node + ".scores");
  const std::uint64_t gain_errors = stream(node + ".gains");
  const std::int64_t heads = scores.shape[1];
  const ReferenceTensor squares = attention_products(x, heads, true, 1);
  const auto keys = static_cast<std::size_t>(scores.shape[3]);
  const auto terms = static_cast<double>(x.shape[2] / 3 / heads);
  const double scale = attention_scale(x.shape, heads);
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
      score[j] += sign_at(score_errors, row * keys + j) * std::hypot(product, kUnitRoundoff * own);
    }
    const double total = sum_deviation(static_cast<double>(keys), sum, sum_squares, false) / sum;
    gains[row] += sign_at(gain_errors, row) * std::hypot(total, kUnitRoundoff);
  }
}

// from / to, its product with the place and the subtraction of 1/2 are rounded once each.
void RandomRounding::interpolation(const std::string& node, const std::string& axis,
                                   Interpolation& places) const {
  const std::uint64_t random = stream(node + "." + axis);
  for (std::size_t i = 0; i < places.low.size(); ++i) {
    const double place = (static_cast<double>(i) + 0.5) * places.ratio;
    const double error = sign_at(random, i) * std::sqrt(3.0) * kUnitRoundoff * place;
    places.low_weight[i] -= error;
    places.high_weight[i] += error;
  }
}

void RandomRounding::running(const std::string& name, const Values& kept, const Values& added,
                             Values& values) const {
  const std::uint64_t random = stream(name);
  for (std::size_t c = 0; c < values.size(); ++c) {
    // A rounding of each product and of 1 - momentum; the unbiased variance takes two more.
    const double squares = 2.0 * kept[c] * kept[c] + 4.0 * added[c] * added[c];
    values[c] += sign_at(random, c) * sum_deviation(2.0, values[c], squares, true);
  }
}

void RandomRounding::result(const std::string& node, const Values& deviation, ReferenceTensor& y,
                            int threads) const {
  for_each_sign(stream(node), deviation.size(), threads,
                [&](std::size_t i, double sign) { y.values[i] += sign * deviation[i]; });
}

}  // namespace mobileone::reference
