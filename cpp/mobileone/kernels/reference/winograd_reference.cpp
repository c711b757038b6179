#include "mobileone/kernels/layout.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::reference {

namespace {

// Magnitudes along one side (conv/winograd.hpp): of B', G and A'.
struct Side {
  int inputs, forms, outputs;
  double source[9][9];
  double filter[9][3];
  double result[4][9];
};
constexpr Side kPlain = {4,
                         4,
                         2,
                         {{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}},
                         {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, {0, 0, 1}},
                         {{1, 1, 1, 0}, {0, 1, 1, 1}}};
constexpr Side kStrided = {
    5,
    5,
    2,
    {{1, 0, 1, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 1}, {0, 0, 0, 1, 0}, {0, 0, 1, 0, 0}},
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0, 1}},
    {{1, 1, 0, 0, 1}, {0, 0, 1, 1, 1}}};
// The points 0, 1, -1, 2, infinity of the even pixels; the odd ones.
constexpr Side kWide = {9,
                        9,
                        4,
                        {{1, 0, 0.5, 0, 1, 0, 0.5, 0, 0},
                         {0, 0, 2, 0, 1, 0, 1, 0, 0},
                         {0, 0, 2, 0, 3, 0, 1, 0, 0},
                         {0, 0, 1, 0, 0, 0, 1, 0, 0},
                         {0, 0, 2, 0, 1, 0, 2, 0, 1},
                         {0, 1, 0, 0, 0, 0, 0, 0, 0},
                         {0, 0, 0, 1, 0, 0, 0, 0, 0},
                         {0, 0, 0, 0, 0, 1, 0, 0, 0},
                         {0, 0, 0, 0, 0, 0, 0, 1, 0}},
                        {{1, 0, 0},
                         {0.5, 0, 0.5},
                         {1.0 / 6, 0, 1.0 / 6},
                         {1.0 / 6, 0, 1.0 / 3},
                         {0, 0, 1},
                         {0, 1, 0},
                         {0, 1, 0},
                         {0, 1, 0},
                         {0, 1, 0}},
                        {{1, 1, 1, 1, 0, 1, 0, 0, 0},
                         {0, 1, 1, 2, 0, 0, 1, 0, 0},
                         {0, 1, 1, 4, 0, 0, 0, 1, 0},
                         {0, 1, 1, 8, 1, 0, 0, 0, 1}}};

using Positions = double[5][9];

struct Sides {
  const Side &down, &across;
};

// |B'| |d| |B| of one channel's window that begins at (y, x).
void add_source(const Sides& sides, const Map& src, int channel, int y, int x, Positions& out) {
  const auto magnitude = [&](int row, int column) {
    const bool inside = row >= 0 && row < src.height && column >= 0 && column < src.width;
    return inside ? std::abs(src.value[src.at(channel, row, column)]) : 0.0;
  };
  for (int i = 0; i < sides.down.forms; ++i) {
    for (int j = 0; j < sides.across.forms; ++j) {
      out[i][j] = 0.0;
      for (int a = 0; a < sides.down.inputs; ++a) {
        for (int b = 0; b < sides.across.inputs; ++b) {
          const double factor = sides.down.source[i][a] * sides.across.source[j][b];
          if (factor != 0.0) out[i][j] += factor * magnitude(y + a, x + b);
        }
      }
    }
  }
}

// |G| |g| |G'|.
void make_filter(const Sides& sides, const float* weight, Positions& out) {
  for (int i = 0; i < sides.down.forms; ++i) {
    for (int j = 0; j < sides.across.forms; ++j) {
      out[i][j] = 0.0;
      for (int a = 0; a < 3; ++a) {
        for (int b = 0; b < 3; ++b) {
          out[i][j] += sides.down.filter[i][a] * sides.across.filter[j][b] *
                       std::abs(double(weight[3 * a + b]));
        }
      }
    }
  }
}

// For every element `rounding` times the sum of magnitudes that enter it.
void bound_windows(const Sides& sides, const Map& src, int stride, double rounding,
                   const std::vector<float>& weight, const std::vector<float>& bias, Map& result) {
  const int rows = sides.down.outputs, columns = sides.across.outputs;
  const std::size_t filters = weight.size() / 9;
  struct Filters {
    Positions at;
  };
  std::vector<Filters> filter(filters);
  for (std::size_t i = 0; i < filters; ++i) {
    make_filter(sides, weight.data() + 9 * i, filter[i].at);
  }
  std::vector<Filters> source(std::size_t(src.channels));
  for (int y = 0; y < result.height; y += rows) {
    for (int x = 0; x < result.width; x += columns) {
      for (int c = 0; c < src.channels; ++c) {
        add_source(sides, src, c, stride * y - 1, stride * x - 1, source[std::size_t(c)].at);
      }
      for (int n = 0; n < result.channels; ++n) {
        Positions sum = {};
        for (int c = 0; c < src.channels; ++c) {
          const Positions& f = filter[std::size_t(n) * src.channels + c].at;
          const Positions& d = source[std::size_t(c)].at;
          for (int i = 0; i < sides.down.forms; ++i) {
            for (int j = 0; j < sides.across.forms; ++j) sum[i][j] += f[i][j] * d[i][j];
          }
        }
        for (int dy = 0; dy < rows && y + dy < result.height; ++dy) {
          for (int dx = 0; dx < columns && x + dx < result.width; ++dx) {
            double total = std::abs(double(bias[std::size_t(n)]));
            for (int i = 0; i < sides.down.forms; ++i) {
              for (int j = 0; j < sides.across.forms; ++j) {
                total += sides.down.result[dy][i] * sides.across.result[dx][j] * sum[i][j];
              }
            }
            result.bound[result.at(n, y + dy, x + dx)] = rounding * total;
          }
        }
      }
    }
  }
}

}  // namespace

// Of a product's terms each is rounded when G g G' is stored, twice in B' d B (of wide windows four
// times), once in every addition of the K products (padded channels too; of stride 2 up to four
// forms of each), four times in A' M A and once with the bias.
void winograd_bounds(const Map& src, int stride, int columns, const std::vector<float>& weight,
                     const std::vector<float>& bias, Map& result) {
  const Side& down = stride == 1 ? kPlain : kStrided;
  const Sides sides{down, columns == 4 ? kWide : down};
  const double terms = padded(src.channels) + 2.0 * kBlock;
  const double rounding = gamma((stride == 2 ? 4.0 : 1.0) * terms + 10.0);
  bound_windows(sides, src, stride, rounding, weight, bias, result);
}

// Of a product's terms each is rounded when G g G' is stored and twice in B' d B; the longest way
// to an output adds nine products to U, then V, and twelve more.
void stem_bounds(const Map& src, const std::vector<float>& weight, const std::vector<float>& bias,
                 Map& result) {
  bound_windows({kStrided, kStrided}, src, 2, gamma(1.0 + 2.0 + 9.0 + 1.0 + 12.0), weight, bias,
                result);
}

}  // namespace mobileone::kernels::reference
