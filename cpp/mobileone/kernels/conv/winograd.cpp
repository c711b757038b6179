#include "mobileone/kernels/conv/winograd.hpp"

#include <algorithm>
#include <vector>

namespace mobileone::kernels {

namespace {

// Forms of three weights in a row or column.
struct Forms {
  double at[5];

  Forms(int stride, double a, double b, double c) : at{a, (a + b + c) / 2, (a - b + c) / 2, c, 0} {
    if (stride == 2) *this = {a, b, c, b, a + c};
  }

 private:
  Forms(double f0, double f1, double f2, double f3, double f4) : at{f0, f1, f2, f3, f4} {}
};

// G g G' of one 3x3 kernel.
struct Filter {
  double at[25];

  Filter(int stride, const float* g) {
    const int forms = stride == 2 ? 5 : 4;
    const Forms columns[3] = {
        {stride, g[0], g[3], g[6]}, {stride, g[1], g[4], g[7]}, {stride, g[2], g[5], g[8]}};
    for (int i = 0; i < forms; ++i) {
      const Forms row(stride, columns[0].at[i], columns[1].at[i], columns[2].at[i]);
      for (int j = 0; j < forms; ++j) at[stride == 2 ? strided_slot(i, j) : 4 * i + j] = row.at[j];
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
  const int forms = winograd_forms(shape.stride);
  std::vector<float> matrices(static_cast<std::size_t>(forms * floats));
  for (int n = 0; n < shape.channels_out; ++n) {
    for (int c = 0; c < channels; ++c, weight += 9) {
      const Filter filter(shape.stride, weight);
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
