#include "mobileone/kernels/layout.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::reference {

namespace {

// Magnitudes of B', G and A' (conv/winograd.hpp).
constexpr double kSource[4][4] = {{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}};
constexpr double kFilter[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, {0, 0, 1}};
constexpr double kResult[2][4] = {{1, 1, 1, 0}, {0, 1, 1, 1}};

using Positions = double[4][4];

// |B'| |d| |B| of one channel's window whose outputs begin at (y, x).
void add_source(const Map& src, int channel, int y, int x, Positions& out) {
  const auto magnitude = [&](int row, int column) {
    const bool inside = row >= 0 && row < src.height && column >= 0 && column < src.width;
    return inside ? std::abs(src.value[src.at(channel, row, column)]) : 0.0;
  };
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      out[i][j] = 0.0;
      for (int a = 0; a < 4; ++a) {
        for (int b = 0; b < 4; ++b) {
          out[i][j] += kSource[i][a] * kSource[j][b] * magnitude(y + a - 1, x + b - 1);
        }
      }
    }
  }
}

// |G| |g| |G'|.
void make_filter(const float* weight, Positions& out) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      out[i][j] = 0.0;
      for (int a = 0; a < 3; ++a) {
        for (int b = 0; b < 3; ++b) {
          out[i][j] += kFilter[i][a] * kFilter[j][b] * std::abs(double(weight[3 * a + b]));
        }
      }
    }
  }
}

}  // namespace

// Of a product's terms each is rounded when G g G' is stored, twice in B' d B, once in every
// addition of the K products (padded channels too), four times in A' M A and once with the bias.
void winograd_bounds(const Map& src, const std::vector<float>& weight,
                     const std::vector<float>& bias, Map& result) {
  const double rounding = gamma(padded(src.channels) + 2.0 * kBlock + 8.0);
  const std::size_t filters = weight.size() / 9;
  struct Filters {
    Positions at;
  };
  std::vector<Filters> filter(filters);
  for (std::size_t i = 0; i < filters; ++i) make_filter(weight.data() + 9 * i, filter[i].at);
  std::vector<Filters> source(std::size_t(src.channels));
  for (int y = 0; y < src.height; y += 2) {
    for (int x = 0; x < src.width; x += 2) {
      for (int c = 0; c < src.channels; ++c) add_source(src, c, y, x, source[std::size_t(c)].at);
      for (int n = 0; n < result.channels; ++n) {
        Positions sum = {};
        for (int c = 0; c < src.channels; ++c) {
          const Positions& f = filter[std::size_t(n) * src.channels + c].at;
          const Positions& d = source[std::size_t(c)].at;
          for (int i = 0; i < 4; ++i) {
            for (int j = 0; j < 4; ++j) sum[i][j] += f[i][j] * d[i][j];
          }
        }
        for (int dy = 0; dy < 2; ++dy) {
          for (int dx = 0; dx < 2; ++dx) {
            double total = std::abs(double(bias[std::size_t(n)]));
            for (int i = 0; i < 4; ++i) {
              for (int j = 0; j < 4; ++j) total += kResult[dy][i] * kResult[dx][j] * sum[i][j];
            }
            result.bound[result.at(n, y + dy, x + dx)] = rounding * total;
          }
        }
      }
    }
  }
}

}  // namespace mobileone::kernels::reference
