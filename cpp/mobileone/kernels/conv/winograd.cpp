#include "mobileone/kernels/conv/winograd.hpp"

#include <algorithm>
#include <vector>

namespace mobileone::kernels {

namespace {

// Forms of three weights in a row or column.
struct Forms {
  double at[9];

  Forms(Windows windows, double a, double b, double c) : at{} {
    const double sum = a + c;
    const double plain[] = {a, (sum + b) / 2, (sum - b) / 2, c};
    const double strided[] = {a, b, c, b, sum};
    const double wide[] = {a, b, sum / 2, (a - c) / 6, (a + 2 * c) / 6, c, b, b, b};
    if (windows == Windows::kPlain) std::copy_n(plain, 4, at);
    if (windows == Windows::kStrided) std::copy_n(strided, 5, at);
    if (windows == Windows::kWide) std::copy_n(wide, 9, at);
  }
};

// G g G' of one 3x3 kernel.
struct Filter {
  double at[winograd_forms(Windows::kWide)];

  Filter(Windows windows, const float* g) {
    const bool plain = windows == Windows::kPlain, wide = windows == Windows::kWide;
    const Windows down = plain ? Windows::kPlain : Windows::kStrided;
    const int rows = plain ? 4 : 5, columns = plain ? 4 : wide ? 9 : 5;
    const Forms column[3] = {
        {down, g[0], g[3], g[6]}, {down, g[1], g[4], g[7]}, {down, g[2], g[5], g[8]}};
    for (int i = 0; i < rows; ++i) {
      const Forms row(windows, column[0].at[i], column[1].at[i], column[2].at[i]);
      for (int j = 0; j < columns; ++j) {
        at[plain ? 4 * i + j : wide ? wide_slot(i, j) : strided_slot(i, j)] = row.at[j];
      }
    }
  }
};

}  // namespace

void pack_winograd(const ConvPlan& plan, const float* weight, const float* bias, float* packed) {
  const ConvShape& shape = plan.shape;
  const PointwisePlan& product = plan.pointwise;
  const int channels = shape.channels_in + shape.channels_in2;
  const std::ptrdiff_t k = std::ptrdiff_t{product.k_blocks} * kBlock;
  // By form [channels_out][K].
  const std::ptrdiff_t floats = k * shape.channels_out;
  const Windows windows = windows_of(shape);
  const int forms = winograd_forms(windows);
  std::vector<float> matrices(static_cast<std::size_t>(forms * floats));
  for (int n = 0; n < shape.channels_out; ++n) {
    for (int c = 0; c < channels; ++c, weight += 9) {
      const Filter filter(windows, weight);
      const int place =
          c < shape.channels_in ? c : padded(shape.channels_in) + c - shape.channels_in;
      for (int i = 0; i < forms; ++i) {
        matrices[static_cast<std::size_t>(i * floats + n * k + place)] =
            static_cast<float>(filter.at[i]);
      }
    }
  }
  pack_bias(shape.channels_out, bias, packed);
  packed += plan.panels_offset();
  std::vector<float> one(static_cast<std::size_t>(product.packed_floats()));
  for (int i = 0; i < forms; ++i) {
    pack_pointwise(product, static_cast<int>(k), shape.channels_out, matrices.data() + i * floats,
                   one.data());
    for (int index = 0; index < product.num_panels(); ++index) {
      const Panel panel = product.panel(index);
      const std::ptrdiff_t from = product.panel_offset(panel.first_block);
      const std::ptrdiff_t size = k * panel.columns();
      std::copy_n(one.data() + from, size, packed + forms * from + i * size);
    }
  }
}

}  // namespace mobileone::kernels
