#include "mobileone/kernels/conv/winograd.hpp"

#include <algorithm>
#include <vector>

namespace mobileone::kernels {

namespace {

// G g G' of one 3x3 kernel.
struct Filter {
  double at[4][4];

  explicit Filter(const float* g) {
    double rows[4][3];
    for (int x = 0; x < 3; ++x) {
      const double a = g[x], b = g[3 + x], c = g[6 + x];
      const double column[4] = {a, (a + b + c) / 2, (a - b + c) / 2, c};
      for (int i = 0; i < 4; ++i) rows[i][x] = column[i];
    }
    for (int i = 0; i < 4; ++i) {
      const double a = rows[i][0], b = rows[i][1], c = rows[i][2];
      const double row[4] = {a, (a + b + c) / 2, (a - b + c) / 2, c};
      std::copy_n(row, 4, at[i]);
    }
  }
};

}  // namespace

void pack_winograd(const ConvPlan& plan, const float* weight, const float* bias, float* packed) {
  const ConvShape& shape = plan.shape;
  const PointwisePlan& product = plan.pointwise;
  const int channels = shape.channels_in + shape.channels_in2;
  const std::ptrdiff_t k = std::ptrdiff_t{product.k_blocks} * kBlock;
  // By position [channels_out][K].
  const std::ptrdiff_t floats = k * shape.channels_out;
  std::vector<float> matrices(static_cast<std::size_t>(kWinogradProducts * floats));
  for (int n = 0; n < shape.channels_out; ++n) {
    for (int c = 0; c < channels; ++c, weight += 9) {
      const Filter filter(weight);
      const int place =
          c < shape.channels_in ? c : padded(shape.channels_in) + c - shape.channels_in;
      for (int i = 0; i < kWinogradProducts; ++i) {
        matrices[static_cast<std::size_t>(i * floats + n * k + place)] =
            static_cast<float>(filter.at[i / 4][i % 4]);
      }
    }
  }
  pack_bias(shape.channels_out, bias, packed);
  packed += plan.panels_offset();
  std::vector<float> one(static_cast<std::size_t>(product.packed_floats()));
  for (int i = 0; i < kWinogradProducts; ++i) {
    pack_pointwise(product, static_cast<int>(k), shape.channels_out, matrices.data() + i * floats,
                   one.data());
    for (int index = 0; index < product.num_panels(); ++index) {
      const Panel panel = product.panel(index);
      const std::ptrdiff_t from = product.panel_offset(panel.first_block);
      const std::ptrdiff_t size = k * panel.columns();
      std::copy_n(one.data() + from, size, packed + kWinogradProducts * from + i * size);
    }
  }
}

}  // namespace mobileone::kernels
