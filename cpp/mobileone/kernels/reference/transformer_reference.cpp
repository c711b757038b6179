#include "mobileone/kernels/reference/transformer_reference.hpp"

#include <algorithm>
#include <limits>

namespace mobileone::kernels::reference {

namespace {

const double kUnit = std::ldexp(1.0, -24);

}  // namespace

Map folded_linear(const Map& x, int out, const float* weight, const float* bias,
                  const FoldedNorm& norm) {
  Map y(out, x.height, x.width);
  // A rounded weight and a rounded bias add to the roundings of a plain linear layer.
  const double g = gamma(x.channels + 3);
  for (int o = 0; o < out; ++o) {
    const double scale = o < norm.scaled_rows ? norm.row_scale : 1.0;
    for (int p = 0; p < x.pixels(); ++p) {
      double sum = bias != nullptr ? bias[o] : 0.0, magnitude = std::abs(sum), inherited = 0.0;
      for (int i = 0; i < x.channels; ++i) {
        const std::size_t from = std::size_t(i) * x.pixels() + p;
        const double w = weight[std::size_t(o) * x.channels + i];
        const double gained = w * (norm.gain != nullptr ? norm.gain[i] : 1.0);
        const double shifted = w * (norm.offset != nullptr ? norm.offset[i] : 0.0);
        sum += gained * x.value[from] + shifted;
        magnitude += std::abs(gained * x.value[from]) + std::abs(shifted);
        inherited += std::abs(gained) * x.bound[from];
      }
      const std::size_t to = std::size_t(o) * x.pixels() + p;
      y.value[to] = scale * sum;
      y.bound[to] = std::abs(scale) * (g * (magnitude + inherited) + inherited);
    }
  }
  return y;
}

Map normalize(const Map& x, double eps) {
  Map y(x.channels, x.height, x.width);
  const int n = x.channels, pixels = x.pixels();
  for (int p = 0; p < pixels; ++p) {
    const auto at = [&](int i) { return std::size_t(i) * pixels + p; };
    double mean = 0.0, magnitude = 0.0, inherited = 0.0, variance = 0.0;
    for (int i = 0; i < n; ++i) {
      mean += x.value[at(i)] / n;
      magnitude += (std::abs(x.value[at(i)]) + x.bound[at(i)]) / n;
      inherited += x.bound[at(i)] / n;
    }
    // The additions, the rounding of 1 / n and the product with it.
    const double mean_bound = gamma(n + 2) * magnitude + inherited;
    std::vector<double> centred(n), centred_bound(n);
    double spread = 0.0, squares = 0.0;
    for (int i = 0; i < n; ++i) {
      centred[i] = x.value[at(i)] - mean;
      const double moved = x.bound[at(i)] + mean_bound;
      centred_bound[i] = moved + kUnit * (std::abs(centred[i]) + moved);
      variance += centred[i] * centred[i] / n;
      spread += (2.0 * std::abs(centred[i]) + centred_bound[i]) * centred_bound[i] / n;
      squares += std::pow(std::abs(centred[i]) + centred_bound[i], 2) / n;
    }
    const double variance_bound = spread + gamma(n + 3) * (squares + eps);
    // 1 / sqrt is monotonic: the root of the smallest variance is the worst; then the roundings of
    // the root and the quotient. Where the variance may be lost altogether, what remains is that
    // no normalised value exceeds sqrt(n) but for its roundings.
    const double exact = 1.0 / std::sqrt(variance + eps);
    const double left = variance + eps - variance_bound;
    const double worst = left > 0.0 ? 1.0 / std::sqrt(left) : 0.0;
    const double scale_bound = worst - exact + gamma(2) * worst;
    const double largest = std::sqrt(double(n)) * (1.0 + gamma(2 * n + 8));
    for (int i = 0; i < n; ++i) {
      y.value[at(i)] = centred[i] * exact;
      const double limit = std::abs(y.value[at(i)]) + largest;
      const double bound =
          centred_bound[i] * (exact + scale_bound) + std::abs(centred[i]) * scale_bound;
      const double rounded = bound + kUnit * (std::abs(y.value[at(i)]) + bound);
      y.bound[at(i)] = left > 0.0 ? std::min(rounded, limit) : limit;
    }
  }
  return y;
}

Map attention(const Map& qkv, int heads) {
  const int features = qkv.channels / 3, size = features / heads, n = qkv.pixels();
  Map out(features, qkv.height, qkv.width);
  const auto at = [&](int part, int head, int i, int token) {
    return (std::size_t(part) * features + head * size + i) * n + token;
  };
  for (int head = 0; head < heads; ++head) {
    for (int query = 0; query < n; ++query) {
      std::vector<double> score(n), bound(n);
      for (int key = 0; key < n; ++key) {
        double magnitude = 0.0, inherited = 0.0;
        for (int i = 0; i < size; ++i) {
          const std::size_t q = at(0, head, i, query), k = at(1, head, i, key);
          score[key] += qkv.value[q] * qkv.value[k];
          magnitude += std::abs(qkv.value[q] * qkv.value[k]);
          inherited += std::abs(qkv.value[q]) * qkv.bound[k] +
                       (std::abs(qkv.value[k]) + qkv.bound[k]) * qkv.bound[q];
        }
        bound[key] = gamma(size) * (magnitude + inherited) + inherited;
      }
      const double top = *std::max_element(score.begin(), score.end());
      const double top_bound = *std::max_element(bound.begin(), bound.end());
      // Every score loses the same number, so that its own error does not matter; the difference
      // is rounded, and the power errs by 4 u.
      std::vector<double> weight(n), weight_bound(n);
      double sum = 0.0, sum_bound = 0.0;
      for (int key = 0; key < n; ++key) {
        const double distance = top - score[key] + top_bound + bound[key];
        const double exponent = bound[key] + kUnit * distance;
        weight[key] = std::exp2(score[key] - top);
        weight_bound[key] = weight[key] * (std::exp2(exponent) - 1.0) +
                            4.0 * kUnit * weight[key] * std::exp2(exponent) + 0x1p-125;
        sum += weight[key];
        sum_bound += weight_bound[key];
      }
      sum_bound += gamma(n) * (sum + sum_bound);
      for (int i = 0; i < size; ++i) {
        double total = 0.0, magnitude = 0.0, inherited = 0.0;
        for (int key = 0; key < n; ++key) {
          const std::size_t v = at(2, head, i, key);
          total += qkv.value[v] * weight[key];
          magnitude += std::abs(qkv.value[v]) * weight[key];
          inherited += std::abs(qkv.value[v]) * weight_bound[key] +
                       qkv.bound[v] * (weight[key] + weight_bound[key]);
        }
        const double total_bound = gamma(n) * (magnitude + inherited) + inherited;
        const std::size_t to = (std::size_t(head) * size + i) * n + query;
        out.value[to] = total / sum;
        // Quotient of perturbed numbers, then the roundings of 1 / sum and of the product.
        const double quotient = (total_bound + std::abs(out.value[to]) * sum_bound) /
                                std::max(sum - sum_bound, 0x1p-100);
        out.bound[to] = quotient + gamma(2) * (std::abs(out.value[to]) + quotient);
      }
    }
  }
  return out;
}

Map resize(const Map& map, int height, int width) {
  if (height == map.height && width == map.width) return map;
  Map out(map.channels, height, width);
  const auto tap = [](int i, int in, int size, int& first, int& second) {
    const double at = std::clamp((i + 0.5) * in / size - 0.5, 0.0, double(in - 1));
    first = static_cast<int>(at);
    second = std::min(first + 1, in - 1);
    return at - first;
  };
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      int y0, y1, x0, x1;
      const double wy = tap(y, map.height, height, y0, y1), wx = tap(x, map.width, width, x0, x1);
      for (int c = 0; c < map.channels; ++c) {
        const std::size_t from[4] = {map.at(c, y0, x0), map.at(c, y0, x1), map.at(c, y1, x0),
                                     map.at(c, y1, x1)};
        const double weight[4] = {(1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx};
        double sum = 0.0, magnitude = 0.0, inherited = 0.0;
        for (int i = 0; i < 4; ++i) {
          sum += weight[i] * map.value[from[i]];
          magnitude += std::abs(map.value[from[i]]);
          inherited += weight[i] * map.bound[from[i]];
        }
        const std::size_t to = out.at(c, y, x);
        out.value[to] = sum;
        // Each factor of a weight is rounded, and so is 1 - it; then products and sums. A weight
        // near 0 errs absolutely, hence the plain sum of magnitudes.
        out.bound[to] = gamma(9) * (magnitude + inherited) + inherited;
      }
    }
  }
  return out;
}

std::vector<Map> unfold(const Map& map, int patch_height, int patch_width) {
  const int rows = map.height / patch_height, columns = map.width / patch_width;
  std::vector<Map> out(patch_height * patch_width, Map(map.channels, 1, rows * columns));
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        Map& sequence = out[(y % patch_height) * patch_width + x % patch_width];
        const std::size_t to = sequence.at(c, 0, y / patch_height * columns + x / patch_width);
        sequence.value[to] = map.value[map.at(c, y, x)];
        sequence.bound[to] = map.bound[map.at(c, y, x)];
      }
    }
  }
  return out;
}

Map fold(const std::vector<Map>& sequences, int height, int width, int patch_height,
         int patch_width) {
  const int columns = width / patch_width;
  Map out(sequences[0].channels, height, width);
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const Map& sequence = sequences[(y % patch_height) * patch_width + x % patch_width];
        const std::size_t from = sequence.at(c, 0, y / patch_height * columns + x / patch_width);
        out.value[out.at(c, y, x)] = sequence.value[from];
        out.bound[out.at(c, y, x)] = sequence.bound[from];
      }
    }
  }
  return out;
}

}  // namespace mobileone::kernels::reference
