// A block's seeded weights and input, its float64 reference, and one run of it.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "kernels_testing.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {

/// Without an expansion, ReLU after both convolutions.
inline BlockShape pair(int in, int out, int height, int width, int stride, int kernel = 3) {
  BlockShape shape;
  shape.channels_in = in;
  shape.channels_out = out;
  shape.height = height;
  shape.width = width;
  shape.kernel = kernel;
  shape.stride = stride;
  shape.depthwise_activation = shape.project.activation = Activation::kRelu;
  return shape;
}

/// Squeeze-and-excite with seeded weights.
struct SeData {
  std::vector<float> w1, b1, w2, b2;
  Buffer packed;
  SqueezeExcite se;

  SeData(int channels, int reduced, unsigned seed)
      : w1(random_floats(std::size_t(channels) * reduced, seed, 0.4f)),
        b1(random_floats(reduced, seed + 1)),
        w2(random_floats(std::size_t(channels) * reduced, seed + 2, 0.8f)),
        b2(random_floats(channels, seed + 3)),
        packed(SqueezeExcite{channels, reduced, nullptr}.packed_floats()),
        se{channels, reduced, packed.get()} {
    pack();
  }
  void pack() {
    pack_squeeze_excite(se.channels, se.reduced, w1.data(), b1.data(), w2.data(), b2.data(),
                        packed.get());
  }
  reference::Map scale(const reference::Map& means) const {
    return reference::squeeze_excite_scale(se, means, w1, b1, w2, b2);
  }
};

struct BlockData {
  BlockShape shape;
  std::vector<float> src, expand, expand_bias, depthwise, depthwise_bias, project, project_bias;
  SeData excite;

  explicit BlockData(const BlockShape& s, bool hard = false)
      : shape(s), excite(s.hidden(), (s.hidden() + 3) / 4, 20) {
    const auto make = [&](std::size_t n, unsigned seed, float scale) {
      return hard ? hard_floats(n, seed) : random_floats(n, seed, scale);
    };
    const auto hidden = std::size_t(s.hidden());
    src = make(std::size_t(s.channels_in) * s.height * s.width, 1, 1.0f);
    expand = make(std::size_t(s.expanded) * s.channels_in, 2, 0.3f);
    expand_bias = make(s.expanded, 3, 0.5f);
    depthwise = make(hidden * s.kernel * s.kernel, 4, 1.5f / float(std::max(1, s.kernel)));
    depthwise_bias = make(hidden, 5, 0.5f);
    project = make(hidden * s.channels_out, 6, 0.2f);
    project_bias = make(s.channels_out, 7, 0.5f);
  }

  BlockWeights weights() const {
    return {expand.data(),         expand_bias.data(), depthwise.data(),
            depthwise_bias.data(), project.data(),     project_bias.data()};
  }

  reference::Map source() const {
    return reference::exact_map(shape.channels_in, shape.height, shape.width, src);
  }

  /// What the projection reads, of `map`.
  reference::Map filtered(reference::Map map) const {
    if (shape.expands()) {
      map = reference::conv1x1(map, shape.expanded, expand, expand_bias);
      reference::activate(shape.expand_activation, map);
    }
    if (!shape.has_depthwise()) return map;
    map = reference::conv(map, shape.hidden(), {shape.kernel, shape.stride, true}, depthwise,
                          depthwise_bias);
    if (shape.excite == ExcitePlace::kBeforeActivation) {
      reference::multiply(map, excite.scale(reference::mean(map)));
    }
    reference::activate(shape.depthwise_activation, map);
    if (shape.excite == ExcitePlace::kAfterActivation) {
      reference::multiply(map, excite.scale(reference::mean(map)));
    }
    return map;
  }
  reference::Map filtered() const { return filtered(source()); }

  /// The projection of `map` with its epilogue.
  reference::Map projected(const reference::Map& map) const {
    reference::Map out = reference::conv1x1(map, shape.channels_out, project, project_bias);
    if (shape.project.residual) reference::add(out, source());
    reference::activate(shape.project.activation, out);
    return out;
  }
  reference::Map expected() const { return projected(filtered()); }
};

/// Packed weights, the input and an output map.
struct BlockRun {
  const BlockPlan& plan;
  const SqueezeExcite* excite;
  Buffer packed, src, dst;

  BlockRun(const BlockPlan& p, const BlockData& data)
      : plan(p),
        excite(p.shape.excites() ? &data.excite.se : nullptr),
        packed(p.packed_bytes() / 4),
        src(p.shape.src().num_floats()),
        dst(p.shape.dst().num_floats()) {
    pack_block(plan, data.weights(), packed.get());
    to_blocked(p.shape.src(), data.src.data(), src.get());
    std::fill_n(dst.get(), dst.size, 777.0f);
    zero_border(p.shape.dst(), dst.get());
  }

  BlockArgs args(float* scratch) const {
    return {.src = src.get(),
            .dst = dst.get(),
            .packed = packed.get(),
            .excite = excite,
            .scratch = scratch};
  }
  void units(const KernelTable& table, int begin, int end, float* scratch) const {
    table.run_block(plan, args(scratch), begin, end);
  }

  std::vector<float> result() const { return interior(plan.shape.dst(), dst); }
};

/// One call per range of `step` units, scratch full of NaN.
inline std::vector<float> run_block(const KernelTable& table, const BlockPlan& plan,
                                    const BlockData& data, int step) {
  const BlockRun run(plan, data);
  Buffer scratch(plan.scratch_bytes() / 4);
  for (int unit = 0; unit < plan.units(); unit += step) {
    std::fill_n(scratch.get(), scratch.size, std::numeric_limits<float>::quiet_NaN());
    run.units(table, unit, std::min(unit + step, plan.units()), scratch.get());
  }
  return run.result();
}

// What pairs of rows add to the float32 error of the depthwise's sums: each of the (|x0| + |x2|)
// |g0| and the like is rounded in the transforms of input and weight, in up to four sums and in two
// sums of the result, 8 times at most, and all of them are no more than twice the sum of the
// window's |x| times the sum of the column's |g|.
inline std::vector<double> pairs_error(const BlockData& data) {
  const BlockShape& s = data.shape;
  reference::Map map = data.source();
  if (s.expands()) {
    map = reference::conv1x1(map, s.expanded, data.expand, data.expand_bias);
    reference::activate(s.expand_activation, map);
  }
  for (double& x : map.value) x = std::abs(x);
  std::vector<float> columns(data.depthwise.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const float* g = &data.depthwise[i / 9 * 9 + i % 3];
    columns[i] = 2 * (std::abs(g[0]) + std::abs(g[3]) + std::abs(g[6]));
  }
  const std::vector<float> none(std::size_t(s.hidden()));
  std::vector<double> error = reference::conv(map, s.hidden(), {3, 1, true}, columns, none).value;
  for (double& x : error) x *= 8 * 0x1p-24;
  return error;
}

/// Runs the block and compares it with its reference.
inline void check_block(const KernelTable& table, const BlockShape& shape, const Tiling& tiling,
                        int step, bool hard = false) {
  SCOPED_TRACE(::testing::Message()
               << label(table) << " " << shape.channels_in << " > " << shape.expanded << " > "
               << shape.channels_out << " " << shape.height << "x" << shape.width << " kernel "
               << shape.kernel << " stride " << shape.stride << " activations "
               << activation_name(shape.expand_activation) << " "
               << activation_name(shape.depthwise_activation) << " "
               << activation_name(shape.project.activation) << " excite " << int(shape.excite)
               << " residual " << shape.project.residual << " rows " << tiling.tile_rows
               << " parts " << tiling.column_parts << " step " << step << " hard " << hard);
  const BlockData data(shape, hard);
  const BlockPlan plan = plan_block(table.traits, shape, tiling);
  reference::Map t = data.filtered();
  if (plan.in_row_pairs()) {
    const std::vector<double> error = pairs_error(data);
    for (std::size_t i = 0; i < error.size(); ++i) t.bound[i] += error[i];
  }
  reference::Map expected = data.projected(t);
  double slack = 0.0;
  const int levels = static_cast<int>(tiling.algorithm);
  if (levels > 0) {  // a bound by norms, for every element alike
    std::fill(expected.bound.begin(), expected.bound.end(), 0.0);
    slack = reference::strassen_bound(t, data.project, data.project_bias, levels);
    // Of the product; then the sum with the residual and the activation.
    for (std::size_t i = 0; shape.project.residual && i < expected.value.size(); ++i) {
      expected.bound[i] = reference::gamma(2) * (std::abs(expected.value[i]) + slack);
    }
    ASSERT_TRUE(is_floor(shape.project.activation));
  }
  EXPECT_EQ(reference::mismatch(expected, run_block(table, plan, data, step).data(), slack), "");
}

}  // namespace mobileone::kernels::testing
