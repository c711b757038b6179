// A dense convolution's seeded weights and sources, its float64 reference, and one run of it.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {

/// Seeded weights and sources of a convolution, and its float64 reference.
struct ConvData {
  ConvShape shape;
  std::vector<float> src, src2, weight, bias, residual;

  explicit ConvData(const ConvShape& s, bool hard = false) : shape(s) {
    const auto make = [&](std::size_t n, unsigned seed, float scale) {
      return hard ? hard_floats(n, seed) : random_floats(n, seed, scale);
    };
    const std::size_t pixels = std::size_t(s.height) * s.width;
    src = make(s.channels_in * pixels, 1, 1.0f);
    src2 = make(s.channels_in2 * pixels, 2, 1.0f);
    weight =
        make(std::size_t(s.channels_out) * (s.channels_in + s.channels_in2) * s.taps(), 3, 0.2f);
    bias = make(s.channels_out, 4, 0.5f);
    residual = make(std::size_t(s.channels_out) * s.out_height() * s.out_width(), 5, 1.0f);
  }

  reference::Map source() const {
    const reference::Map first =
        reference::exact_map(shape.channels_in, shape.height, shape.width, src);
    if (shape.channels_in2 == 0) return first;
    return reference::concat(
        first, reference::exact_map(shape.channels_in2, shape.height, shape.width, src2));
  }

  reference::Map finish(reference::Map map) const {
    if (shape.epilogue.residual) {
      reference::add(map, reference::exact_map(shape.channels_out, shape.out_height(),
                                               shape.out_width(), residual));
    }
    reference::activate(shape.epilogue.activation, map);
    return map;
  }

  reference::Map expected() const {
    const reference::Map map = source();
    const reference::Window window{shape.kernel, shape.stride, false, shape.dilation};
    return finish(reference::conv(map, shape.channels_out, window, weight, bias));
  }
};

/// The sources in blocked maps, and the plan's weights and output.
struct ConvRun {
  const ConvPlan& plan;
  Buffer packed, src, src2, residual, dst;

  ConvRun(const ConvPlan& p, const ConvData& data)
      : plan(p),
        packed(p.packed_bytes() / 4),
        src(p.shape.src().num_floats()),
        src2(p.shape.src2().num_floats()),
        residual(p.shape.dst().num_floats()),
        dst(p.shape.dst().num_floats()) {
    pack_conv(plan, data.weight.data(), data.bias.data(), packed.get());
    to_blocked(p.shape.src(), data.src.data(), src.get());
    to_blocked(p.shape.src2(), data.src2.data(), src2.get());
    to_blocked(p.shape.dst(), data.residual.data(), residual.get());
    std::fill_n(dst.get(), dst.size, 777.0f);
    zero_border(p.shape.dst(), dst.get());
  }

  void units(const KernelTable& table, int begin, int end, float* scratch) const {
    const ConvArgs args{.src = src.get(),
                        .src2 = src2.get(),
                        .residual = residual.get(),
                        .dst = dst.get(),
                        .packed = packed.get(),
                        .scratch = scratch};
    table.run_conv(plan, args, begin, end);
  }

  std::vector<float> result() const { return interior(plan.shape.dst(), dst); }
};

/// One call per range of `step` units, scratch full of NaN.
inline std::vector<float> run_conv(const KernelTable& table, const ConvPlan& plan,
                                   const ConvData& data, int step) {
  const ConvRun run(plan, data);
  Buffer scratch(plan.scratch_bytes() / 4);
  std::fill_n(scratch.get(), scratch.size, std::numeric_limits<float>::quiet_NaN());
  for (int unit = 0; unit < plan.units(); unit += step) {
    run.units(table, unit, std::min(unit + step, plan.units()), scratch.get());
  }
  return run.result();
}

}  // namespace mobileone::kernels::testing
