#include "mobileone/kernels/reference/reference.hpp"

#include <algorithm>
#include <sstream>

namespace mobileone::kernels::reference {

Map exact_map(int c, int h, int w, const std::vector<float>& data) {
  Map map(c, h, w);
  std::copy(data.begin(), data.end(), map.value.begin());
  return map;
}

Map conv(const Map& src, int channels_out, const Window& window, const std::vector<float>& weight,
         const std::vector<float>& bias) {
  const int group = window.depthwise ? 1 : src.channels;
  const int stride = window.stride, k = window.kernel, taps = k * k;
  Map dst(channels_out, (src.height - 1) / stride + 1, (src.width - 1) / stride + 1);
  for (int o = 0; o < channels_out; ++o) {
    for (int y = 0; y < dst.height; ++y) {
      for (int x = 0; x < dst.width; ++x) {
        double sum = bias[o], magnitude = std::abs(sum), inherited = 0.0;
        for (int i = 0; i < group; ++i) {
          for (int tap = 0; tap < taps; ++tap) {
            const int sy = y * stride + (tap / k - k / 2) * window.dilation;
            const int sx = x * stride + (tap % k - k / 2) * window.dilation;
            if (sy < 0 || sy >= src.height || sx < 0 || sx >= src.width) continue;
            const std::size_t from = src.at(window.depthwise ? o : i, sy, sx);
            const double w = weight[(std::size_t(o) * group + i) * taps + tap];
            sum += w * src.value[from];
            magnitude += std::abs(w * src.value[from]);
            inherited += std::abs(w) * src.bound[from];
          }
        }
        const double g = gamma(taps * group + 1);
        dst.value[dst.at(o, y, x)] = sum;
        dst.bound[dst.at(o, y, x)] = g * (magnitude + inherited) + inherited;
      }
    }
  }
  return dst;
}

Map conv1x1(const Map& src, int channels_out, const std::vector<float>& weight,
            const std::vector<float>& bias) {
  Map dst(channels_out, src.height, src.width);
  const int pixels = src.pixels();
  const double g = gamma(src.channels + 1);
  std::vector<double> sum(pixels), magnitude(pixels), inherited(pixels);
  for (int o = 0; o < channels_out; ++o) {
    std::fill(sum.begin(), sum.end(), double(bias[o]));
    std::fill(magnitude.begin(), magnitude.end(), std::abs(double(bias[o])));
    std::fill(inherited.begin(), inherited.end(), 0.0);
    for (int i = 0; i < src.channels; ++i) {
      const double w = weight[std::size_t(o) * src.channels + i];
      for (int p = 0; p < pixels; ++p) {
        const std::size_t from = std::size_t(i) * pixels + p;
        sum[p] += w * src.value[from];
        magnitude[p] += std::abs(w * src.value[from]);
        inherited[p] += std::abs(w) * src.bound[from];
      }
    }
    for (int p = 0; p < pixels; ++p) {
      dst.value[std::size_t(o) * pixels + p] = sum[p];
      dst.bound[std::size_t(o) * pixels + p] = g * (magnitude[p] + inherited[p]) + inherited[p];
    }
  }
  return dst;
}

namespace {

struct Row {
  double (*value)(double x);
  double slope;
  double (*error)(double x, double y);  // of |x| and |value|, in units of u
};

#define MOBILEONE_ROW(kind, name, form, exact, slope, error)         \
  {[]([[maybe_unused]] double x) -> double { return exact; }, slope, \
   []([[maybe_unused]] double x, [[maybe_unused]] double y) -> double { return error; }},
const Row kRows[] = {MOBILEONE_ACTIVATIONS(MOBILEONE_ROW)};
#undef MOBILEONE_ROW

}  // namespace

void activate(Activation activation, Map& map) {
  const Row& row = kRows[static_cast<int>(activation)];
  const double u = std::ldexp(1.0, -24);
  for (std::size_t i = 0; i < map.value.size(); ++i) {
    const double x = std::abs(map.value[i]) + map.bound[i];
    map.value[i] = row.value(map.value[i]);
    const double inherited = row.slope * map.bound[i];
    map.bound[i] = inherited + u * row.error(x, std::abs(map.value[i]) + inherited);
  }
}

void add(Map& map, const Map& other) {
  for (std::size_t i = 0; i < map.value.size(); ++i) {
    map.value[i] += other.value[i];
    const double inherited = map.bound[i] + other.bound[i];
    map.bound[i] = inherited + gamma(1) * (std::abs(map.value[i]) + inherited);
  }
}

Map concat(const Map& first, const Map& second) {
  Map out(first.channels + second.channels, first.height, first.width);
  for (auto member : {&Map::value, &Map::bound}) {
    std::copy((first.*member).begin(), (first.*member).end(), (out.*member).begin());
    std::copy((second.*member).begin(), (second.*member).end(),
              (out.*member).begin() + static_cast<std::ptrdiff_t>(first.value.size()));
  }
  return out;
}

Map mean(const Map& map) {
  Map out(map.channels, 1, 1);
  for (int c = 0; c < map.channels; ++c) {
    double sum = 0.0, magnitude = 0.0, inherited = 0.0;
    for (int p = 0; p < map.pixels(); ++p) {
      const std::size_t from = std::size_t(c) * map.pixels() + p;
      sum += map.value[from];
      magnitude += std::abs(map.value[from]) + map.bound[from];
      inherited += map.bound[from];
    }
    out.value[c] = sum / map.pixels();
    // The additions, the rounding of 1 / pixels and the product with it.
    out.bound[c] = (gamma(map.pixels() + 2) * magnitude + inherited) / map.pixels();
  }
  return out;
}

Map squeeze_excite_scale(const SqueezeExcite& se, const Map& mean, const std::vector<float>& w1,
                         const std::vector<float>& b1, const std::vector<float>& w2,
                         const std::vector<float>& b2) {
  Map hidden = conv1x1(mean, se.reduced, w1, b1);
  activate(se.activation, hidden);
  Map scale = conv1x1(hidden, se.channels, w2, b2);
  activate(se.gate, scale);
  return scale;
}

void multiply(Map& map, const Map& scale) {
  for (int c = 0; c < map.channels; ++c) {
    for (int p = 0; p < map.pixels(); ++p) {
      const std::size_t i = std::size_t(c) * map.pixels() + p;
      const double product = map.value[i] * scale.value[c];
      const double spread = std::abs(map.value[i]) * scale.bound[c] +
                            std::abs(scale.value[c]) * map.bound[i] + map.bound[i] * scale.bound[c];
      map.value[i] = product;
      map.bound[i] = spread + gamma(1) * (std::abs(product) + spread);
    }
  }
}

double strassen_bound(const Map& src, const std::vector<float>& weight,
                      const std::vector<float>& bias, int levels) {
  double a = 0.0, b = 0.0, c = 0.0, inherited = 0.0;
  for (std::size_t i = 0; i < src.value.size(); ++i) {
    a = std::max(a, std::abs(src.value[i]) + src.bound[i]);
    inherited = std::max(inherited, src.bound[i]);
  }
  for (float w : weight) b = std::max(b, std::abs(double(w)));
  for (float x : bias) c = std::max(c, std::abs(double(x)));
  // Higham, theorem 23.3 (Winograd's variant) with L levels: 18^L (k^2 + 6 k) u |A| |B| in the
  // maximum norm, k = K / 2^L the inner dimension of the products; only k enters it, so it holds
  // for rectangular quarters. Then the errors that A came with: K of them, times B.
  // The biases c enter as first values, which a level's sums make at most 4 times as large
  // (c1 + (c2 - c1) and c1 meet in C12): 4^L |c|. In one output of the innermost level 4 products
  // meet, 4 k + 4 additions; each level outside adds 4 of them up: every one of these may round.
  const double parts = std::exp2(levels), k = padded(src.channels) / parts;
  const double u = std::ldexp(1.0, -24), growth = std::pow(18.0, levels);
  double additions = 4.0 * k + 4.0;
  for (int level = 1; level < levels; ++level) additions = 4.0 * additions + 4.0;
  return growth * (k * k + 6.0 * k) * u / (1.0 - growth * k * u) * a * b +
         gamma(additions) * std::pow(4.0, levels) * c + k * parts * b * inherited;
}

std::string mismatch(const Map& expected, const float* got, double slack) {
  for (std::size_t i = 0; i < expected.value.size(); ++i) {
    const double error = std::abs(got[i] - expected.value[i]);
    if (!(error <= expected.bound[i] + slack)) {
      std::ostringstream text;
      text << "channel " << i / expected.pixels() << ", pixel " << i % expected.pixels() << ": got "
           << got[i] << ", expected " << expected.value[i] << " +- " << expected.bound[i] + slack;
      return text.str();
    }
  }
  return {};
}

}  // namespace mobileone::kernels::reference
