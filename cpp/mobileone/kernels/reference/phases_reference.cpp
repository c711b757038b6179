#include <algorithm>

#include "mobileone/kernels/layout.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::reference {

namespace {

using Rows = std::vector<std::vector<double>>;

// Magnitudes of the matrices of a minimal algorithm along one side: forms of the source, of the
// kernel, and the sums of products that are outputs (conv/phases.hpp).
struct Filter {
  Rows source, kernel, result;
  int reach;  // pixels before the first output
};

const Filter kThree{
    {{1, .5, 1, .5, 0}, {0, 2, 1, 1, 0}, {0, 2, 3, 1, 0}, {0, 2, 1, 2, 1}, {0, 1, 0, 1, 0}},
    {{1, 0, 0}, {.5, .5, .5}, {1. / 6, 1. / 6, 1. / 6}, {0, 0, 1}, {1. / 6, 2. / 6, 4. / 6}},
    {{1, 1, 1, 0, 1}, {0, 1, 1, 0, 2}, {0, 1, 1, 1, 4}},
    1};
const Filter kTwo{{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 3, 3, 0}, {0, 1, 0, 1}},
                  {{1, 0, 0}, {.5, .5, .5}, {1. / 6, 1. / 6, 1. / 6}, {0, 0, 1}},
                  {{1, 1, 1, 0}, {0, 1, 1, 1}},
                  1};
const Filter kPair{
    {{1, 1}, {0, 1}, {1, 0}}, {{0, 1, 0}, {0, 1, 1}, {1, 1, 0}}, {{1, 1, 0}, {1, 0, 1}}, 0};
const Filter kOne{{{1}}, {{0, 1, 0}}, {{1}}, 0};

struct Placed {
  const Filter* filter;
  int first;
};

// The windows of one side.
std::vector<Placed> windows_of(int extent, int dilation) {
  std::vector<Placed> all;
  for (int rest = 0; rest < std::min(dilation, extent); ++rest) {
    const int pixels = (extent - rest - 1) / dilation + 1;
    if (extent <= 2 * dilation) {
      all.push_back({pixels == 2 ? &kPair : &kOne, rest});
      continue;
    }
    // Threes, and as few twos as make up the number.
    for (int at = 0; at < pixels;) {
      const bool three = (pixels - at) % 3 == 0 || pixels - at >= 5;
      all.push_back({three ? &kThree : &kTwo, rest + at * dilation});
      at += three ? 3 : 2;
    }
  }
  return all;
}

// |left| |middle| |right'| with middle[a][b] given by a function.
template <typename Middle>
void both_sides(const Rows& left, const Rows& right, const Middle& middle, Rows& out) {
  out.assign(left.size(), std::vector<double>(right.size(), 0.0));
  for (std::size_t a = 0; a < left[0].size(); ++a) {
    for (std::size_t b = 0; b < right[0].size(); ++b) {
      const double value = middle(a, b);
      for (std::size_t i = 0; i < left.size(); ++i) {
        for (std::size_t j = 0; j < right.size(); ++j) {
          out[i][j] += left[i][a] * right[j][b] * value;
        }
      }
    }
  }
}

}  // namespace

// Of a product's terms each is rounded when the kernel's form is stored, at most three times a side
// when the source's is made, once in every addition of the K products (padded channels too), at
// most three times a side in the outputs and once with the bias.
void phases_bounds(const Map& src, int dilation, const std::vector<float>& weight,
                   const std::vector<float>& bias, Map& result) {
  const double rounding = gamma(padded(src.channels) + 2.0 * kBlock + 14.0);
  for (const Placed& down : windows_of(src.height, dilation)) {
    for (const Placed& across : windows_of(src.width, dilation)) {
      const auto pixel = [&](int channel, std::size_t a, std::size_t b) {
        const int y = down.first + (int(a) - down.filter->reach) * dilation;
        const int x = across.first + (int(b) - across.filter->reach) * dilation;
        const bool inside = y >= 0 && y < src.height && x >= 0 && x < src.width;
        return inside ? std::abs(src.value[src.at(channel, y, x)]) : 0.0;
      };
      std::vector<Rows> source(std::size_t(src.channels));
      for (int c = 0; c < src.channels; ++c) {
        both_sides(
            down.filter->source, across.filter->source,
            [&](std::size_t a, std::size_t b) { return pixel(c, a, b); }, source[std::size_t(c)]);
      }
      for (int n = 0; n < result.channels; ++n) {
        Rows sum(down.filter->kernel.size(), std::vector<double>(across.filter->kernel.size()));
        for (int c = 0; c < src.channels; ++c) {
          const float* g = weight.data() + (std::size_t(n) * src.channels + c) * 9;
          Rows kernel;
          both_sides(
              down.filter->kernel, across.filter->kernel,
              [&](std::size_t a, std::size_t b) { return std::abs(double(g[3 * a + b])); }, kernel);
          for (std::size_t i = 0; i < sum.size(); ++i) {
            for (std::size_t j = 0; j < sum[i].size(); ++j) {
              sum[i][j] += kernel[i][j] * source[std::size_t(c)][i][j];
            }
          }
        }
        Rows total;
        both_sides(
            down.filter->result, across.filter->result,
            [&](std::size_t i, std::size_t j) { return sum[i][j]; }, total);
        for (std::size_t a = 0; a < total.size(); ++a) {
          for (std::size_t b = 0; b < total[a].size(); ++b) {
            const std::size_t at =
                result.at(n, down.first + int(a) * dilation, across.first + int(b) * dilation);
            result.bound[at] = rounding * (total[a][b] + std::abs(double(bias[std::size_t(n)])));
          }
        }
      }
    }
  }
}

}  // namespace mobileone::kernels::reference
