#include <algorithm>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// Mean and biased variance of each channel over batch, height and width.
struct ChannelStatistics {
  Values mean, var;
};

// As it is applied: y = scale * x + shift, per channel.
struct Affine {
  Values scale, shift;
};

ChannelStatistics channel_statistics(const ReferenceTensor& x, int threads) {
  const std::size_t batch = to_index(x.shape[0]), channels = to_index(x.shape[1]);
  const std::size_t plane = plane_size(x.shape);
  const auto count = static_cast<double>(batch * plane);
  // The sum over a channel of term(value), in ascending order of image and pixel.
  const auto sum = [&](std::size_t channel, const auto& term) {
    double total = 0.0;
    for (std::size_t image = 0; image < batch; ++image) {
      const double* from = x.values.data() + (image * channels + channel) * plane;
      for (std::size_t i = 0; i < plane; ++i) total += term(from[i]);
    }
    return total;
  };
  ChannelStatistics result{Values(channels), Values(channels)};
  const std::int64_t grain = 1 + kGrain / static_cast<std::int64_t>(1 + batch * plane);
  parallel_for(x.shape[1], grain, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t c = to_index(begin); c < to_index(end); ++c) {
      const double mean = sum(c, [](double v) { return v; }) / count;
      result.mean[c] = mean;
      result.var[c] = sum(c, [=](double v) { return (v - mean) * (v - mean); }) / count;
    }
  });
  return result;
}

// What the node normalises with, exactly.
ChannelStatistics statistics_of(const Call& call) {
  if (!call.training())
    return {call.exact_weight("running_mean"), call.exact_weight("running_var")};
  const ReferenceTensor& x = call.input();
  if (element_count(x.shape) < 2 * x.shape[1]) {
    throw Error(concat("[BatchNorm] ", call.name(), ": input has shape ", to_string(x.shape),
                       "; train mode needs more than one value per channel"));
  }
  return channel_statistics(x, call.threads());
}

// scale = gamma / sqrt(var + eps), shift = beta - mean * scale.
Affine affine_of(const BatchNorm& op, const Call& call, const ChannelStatistics& statistics) {
  const Values gamma = call.exact_weight("weight"), beta = call.exact_weight("bias");
  Affine result{Values(gamma.size()), Values(gamma.size())};
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    result.scale[c] = gamma[c] / std::sqrt(statistics.var[c] + op.eps);
    result.shift[c] = beta[c] - statistics.mean[c] * result.scale[c];
  }
  return result;
}

ReferenceTensor apply(const Affine& affine, const ReferenceTensor& x, int threads) {
  ReferenceTensor y{x.shape, Values(x.values.size())};
  const auto plane = static_cast<std::int64_t>(plane_size(x.shape));
  parallel_for(x.shape[0] * x.shape[1], 1 + kGrain / (plane + 1), threads,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t p = begin; p < end; ++p) {
                   const std::size_t c = to_index(p % x.shape[1]);
                   const double scale = affine.scale[c], shift = affine.shift[c];
                   std::transform(x.values.data() + p * plane, x.values.data() + (p + 1) * plane,
                                  y.values.data() + p * plane,
                                  [=](double v) { return scale * v + shift; });
                 }
               });
  return y;
}

// fp32's errors of the batch statistics of `x`.
void round(const ReferenceTensor& x, const Signs& mean_signs, const Signs& var_signs,
           ChannelStatistics& statistics) {
  Affine centre{Values(statistics.mean.size(), 1.0), statistics.mean};
  for (double& shift : centre.shift) shift = -shift;
  const ChannelStatistics fourth = channel_statistics(squared(apply(centre, x, 1), 1), 1);
  const auto count = static_cast<double>(element_count(x.shape) / x.shape[1]);
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const double mean = statistics.mean[c], var = statistics.var[c];
    // Sums over the batch of x and of x^2, and of (x - mean)^2 and its square.
    const double mean_error =
        sum_deviation(count, mean * count, (mean * mean + var) * count, false);
    const double fourths = (fourth.var[c] + fourth.mean[c] * fourth.mean[c]) * count;
    const double var_error = sum_deviation(count, var * count, 4.0 * fourths, true);
    statistics.mean[c] += mean_signs(c) * std::hypot(mean_error / count, kUnitRoundoff * mean);
    statistics.var[c] += var_signs(c) * std::hypot(var_error / count, kUnitRoundoff * var);
  }
}

// fp32's errors of what is applied.
void round(const ChannelStatistics& statistics, const Signs& scale_signs, const Signs& shift_signs,
           Affine& affine) {
  for (std::size_t c = 0; c < affine.scale.size(); ++c) {
    // sqrt halves the error of var + eps; sqrt and division add one rounding each, the product
    // with a convolution's weight a fourth: (1/4 + 1 + 1 + 1) u^2 < (2 u)^2.
    const double error = scale_signs(c) * 2.0 * kUnitRoundoff * affine.scale[c];
    const double offset = statistics.mean[c] * affine.scale[c];
    const double shift = affine.shift[c];
    affine.scale[c] += error;
    affine.shift[c] -= statistics.mean[c] * error;
    affine.shift[c] += shift_signs(c) * kUnitRoundoff * std::hypot(offset, shift);
  }
}

// running = (1 - momentum) * running + momentum * factor * batch.
void update(const BatchNorm& op, const Call& call, const std::string& suffix, const Values& batch,
            double factor) {
  const std::string name = call.name() + "." + suffix;
  Values kept = call.exact_weight(suffix), added = batch, values = batch;
  for (std::size_t c = 0; c < kept.size(); ++c) {
    kept[c] *= 1.0 - op.momentum;
    added[c] *= op.momentum * factor;
    values[c] = kept[c] + added[c];
  }
  if (call.rounding) {
    const Signs signs = call.rounding->signs(name);
    for (std::size_t c = 0; c < values.size(); ++c) {
      // A rounding of each product and of 1 - momentum; the unbiased variance takes two more.
      const double squares = 2.0 * kept[c] * kept[c] + 4.0 * added[c] * added[c];
      values[c] += signs(c) * sum_deviation(2.0, values[c], squares, true);
    }
  }
  (*call.updated)[name] = std::move(values);
}

}  // namespace

template <>
ReferenceTensor evaluate(const BatchNorm& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  const auto signs = [&](const char* suffix) { return call.rounding->signs(call.name() + suffix); };
  ChannelStatistics statistics = statistics_of(call);
  if (call.training() && call.rounding) {
    round(x, signs(".batch_mean"), signs(".batch_var"), statistics);
  }
  if (call.training() && call.updated) {
    const auto count = static_cast<double>(element_count(x.shape) / op.channels);
    update(op, call, "running_mean", statistics.mean, 1.0);
    update(op, call, "running_var", statistics.var, count / (count - 1.0));
  }
  Affine affine = affine_of(op, call, statistics);
  if (call.rounding) round(statistics, signs(".scale"), signs(".shift"), affine);
  return apply(affine, x, call.threads());
}

// The three terms x * scale, -mean * scale and beta, in whatever way they are grouped.
template <>
Values deviation(const BatchNorm& op, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor& x = call.input();
  const ChannelStatistics statistics = statistics_of(call);
  const Affine affine = affine_of(op, call, statistics);
  const Values beta = call.exact_weight("bias");
  const std::size_t plane = plane_size(x.shape);
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    const std::size_t c = i / plane % beta.size();
    const double scaled = x.values[i] * affine.scale[c];
    const double offset = statistics.mean[c] * affine.scale[c];
    const double squares = scaled * scaled + offset * offset + beta[c] * beta[c];
    return sum_deviation(3.0, y.values[i], squares, true);
  });
}

// With h = (x - mean) r, r = 1 / sqrt(var + eps): dx = gamma r gradient where mean and r are
// constants; of the batch's own statistics gamma r (gradient - E[gradient] - h E[gradient h]).
template <>
Gradients vjp(const BatchNorm& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  const ChannelStatistics statistics = statistics_of(call);
  const Values gamma = call.exact_weight("weight");
  const std::size_t plane = plane_size(x.shape);
  const auto channel = [&](std::size_t i) { return i / plane % gamma.size(); };
  Values scale(gamma.size());
  for (std::size_t c = 0; c < scale.size(); ++c)
    scale[c] = 1.0 / std::sqrt(statistics.var[c] + op.eps);
  const auto normal = [&](std::size_t i) {
    return (x.values[i] - statistics.mean[channel(i)]) * scale[channel(i)];
  };
  Values dgamma(gamma.size()), dbeta(gamma.size());
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    dgamma[channel(i)] += gradient.values[i] * normal(i);
    dbeta[channel(i)] += gradient.values[i];
  }
  const auto count = static_cast<double>(x.values.size() / gamma.size());
  ReferenceTensor dx = elementwise(x.shape, call.threads(), [&](std::size_t i) {
    const std::size_t c = channel(i);
    double change = gradient.values[i];
    if (call.training()) change -= dbeta[c] / count + normal(i) * dgamma[c] / count;
    return gamma[c] * scale[c] * change;
  });
  return {{std::move(dx)}, {{"weight", std::move(dgamma)}, {"bias", std::move(dbeta)}}};
}

}  // namespace mobileone::reference
