#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// Of every row of a tensor [..., channels]: the mean, and 1 / sqrt(biased variance + eps).
struct RowStatistics {
  Values mean, scale;
};

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

// fp32's errors of the mean and the scale, which shift a whole row.
void round(const ReferenceTensor& x, double eps, const Signs& mean_signs, const Signs& scale_signs,
           RowStatistics& statistics) {
  const std::size_t channels = to_index(x.shape.back());
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
    statistics.mean[row] += mean_signs(row) * std::hypot(mean_error, kUnitRoundoff * mean);
    statistics.scale[row] *=
        1.0 + scale_signs(row) * std::hypot(relative, kUnitRoundoff * std::sqrt(2.25));
  }
}

}  // namespace

template <>
ReferenceTensor evaluate(const LayerNorm& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  RowStatistics statistics = row_statistics(x, op.eps, call.threads());
  if (call.rounding) {
    round(x, op.eps, call.rounding->signs(call.name() + ".row_mean"),
          call.rounding->signs(call.name() + ".row_scale"), statistics);
  }
  const Values gamma = call.weight("weight"), beta = call.weight("bias");
  return elementwise(x.shape, call.threads(), [&](std::size_t i) {
    const std::size_t row = i / gamma.size(), c = i % gamma.size();
    const double centred = x.values[i] - statistics.mean[row];
    return centred * statistics.scale[row] * gamma[c] + beta[c];
  });
}

// The three terms x * r * gamma, mean * r * gamma and beta, in whatever way they are grouped; the
// errors of the mean and of r = 1 / sqrt(var + eps) are shared by a row.
template <>
Values deviation(const LayerNorm& op, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor& x = call.input();
  const RowStatistics statistics = row_statistics(x, op.eps, call.threads());
  const Values gamma = call.exact_weight("weight"), beta = call.exact_weight("bias");
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    const std::size_t row = i / gamma.size(), c = i % gamma.size();
    const double gain = statistics.scale[row] * gamma[c];
    const double scaled = x.values[i] * gain, offset = statistics.mean[row] * gain;
    const double squares = scaled * scaled + offset * offset + beta[c] * beta[c];
    return sum_deviation(3.0, y.values[i], squares, true);
  });
}

// With h = (x - mean) r and d = gradient gamma, of one row: dx = r (d - E[d] - h E[d h]), since the
// mean and r are functions of the row.
template <>
Gradients vjp(const LayerNorm& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  const RowStatistics statistics = row_statistics(x, op.eps, call.threads());
  const Values gamma = call.exact_weight("weight");
  const std::size_t channels = gamma.size();
  Values dgamma(channels), dbeta(channels);
  ReferenceTensor dx = zeros(x.shape);
  for (std::size_t row = 0; row < statistics.mean.size(); ++row) {
    const double mean = statistics.mean[row], scale = statistics.scale[row];
    const double* from = x.values.data() + row * channels;
    const double* dy = gradient.values.data() + row * channels;
    double sum = 0.0, products = 0.0;
    for (std::size_t c = 0; c < channels; ++c) {
      const double normal = (from[c] - mean) * scale;
      dgamma[c] += dy[c] * normal;
      dbeta[c] += dy[c];
      sum += dy[c] * gamma[c];
      products += dy[c] * gamma[c] * normal;
    }
    const auto count = static_cast<double>(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const double normal = (from[c] - mean) * scale;
      dx.values[row * channels + c] =
          scale * (dy[c] * gamma[c] - sum / count - normal * products / count);
    }
  }
  return {{std::move(dx)}, {{"weight", std::move(dgamma)}, {"bias", std::move(dbeta)}}};
}

}  // namespace mobileone::reference
