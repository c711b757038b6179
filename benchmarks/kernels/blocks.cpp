// kernels_blocks: blocks as MobileNetV3 and EfficientNet have them, on every table of kernels of
// this CPU, cut up as a compiled network's. Prints the least time of each, its GFLOP/s
// (multiply-adds of the convolutions alone) and the share of the FMA loop's peak measured in the
// same process. (tests/cpp/kernels_block_test.cpp checks the values.)
//
//   kernels_blocks [--rounds 200] [--activation hard_sigmoid]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "mobileone/kernels/tiling/conv_tiling.hpp"
#include "timing.hpp"

namespace {

using namespace mobileone::kernels;
using namespace mobileone::kernels::benchmark;

struct Case {
  int in, expanded, out, size, kernel, stride;
  bool excite;
};

constexpr Case kCases[] = {
    {16, 64, 24, 112, 3, 2, false},  {24, 72, 40, 56, 5, 2, true},
    {40, 240, 40, 28, 5, 1, true},   {80, 480, 112, 14, 3, 1, true},
    {112, 672, 112, 14, 5, 1, true}, {112, 672, 160, 14, 5, 2, true},
    {160, 960, 160, 7, 5, 1, true},  {64, 0, 64, 28, 5, 1, false},
    {64, 0, 64, 28, 7, 1, false},    {112, 672, 112, 14, 3, 1, true},
    {112, 672, 112, 14, 7, 1, true},
};

BlockShape shape_of(const Case& c, Activation activation) {
  BlockShape shape;
  shape.channels_in = c.in;
  shape.expanded = c.expanded;
  shape.channels_out = c.out;
  shape.height = shape.width = c.size;
  shape.kernel = c.kernel;
  shape.stride = c.stride;
  shape.expand_activation = shape.depthwise_activation = activation;
  if (c.excite) shape.excite = ExcitePlace::kAfterActivation;
  shape.project.residual = c.in == c.out && c.stride == 1;
  return shape;
}

void run(const KernelTable& table, const Case& c, Activation activation, int rounds, double peak) {
  const BlockShape shape = shape_of(c, activation);
  const Tiling tiling =
      choose_tiling(table, machine_model(table), shape, {AlgorithmChoice::kAuto, 1});
  const BlockPlan plan = plan_block(table.traits, shape, tiling);
  const Floats src(shape.src().num_floats()), dst(shape.dst().num_floats());
  const Floats packed(std::ptrdiff_t(plan.packed_bytes() / 4), 0.1f);
  const Floats scratch(std::ptrdiff_t(plan.scratch_bytes() / 4));
  SqueezeExcite se{shape.hidden(), std::max(1, shape.hidden() / 4)};
  se.gate = Activation::kHardSigmoid;
  const Floats se_packed(std::ptrdiff_t(se.packed_floats()), 0.1f);
  se.packed = se_packed.get();
  BlockArgs args;
  args.src = src.get();
  args.dst = dst.get();
  args.packed = packed.get();
  args.excite = &se;
  args.scratch = scratch.get();
  const double time = least_time(rounds, [&] { table.run_block(plan, args, 0, plan.units()); });
  std::printf("%4d > %4d > %4d %3dx%-3d %dx%d s%d %s rows %2d %9.1f us %7.1f GFLOP/s %6.1f %%\n",
              c.in, c.expanded, c.out, c.size, c.size, c.kernel, c.kernel, c.stride,
              c.excite ? "se" : "  ", plan.tile_rows, time * 1e6, 2.0 * shape.macs() / time * 1e-9,
              200.0 * shape.macs() / time / peak);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 200;
  Activation activation = Activation::kHardSigmoid;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[++i] : "";
    const auto named = find_activation(value);
    if (option == "--rounds" && std::atoi(value.c_str()) > 0) {
      rounds = std::atoi(value.c_str());
    } else if (option == "--activation" && named) {
      activation = *named;
    } else {
      std::fprintf(stderr, "kernels_blocks: bad argument %s %s\n", option.c_str(), value.c_str());
      return 2;
    }
  }
  for (const KernelTable* table : supported_tables()) {
    float sink[16];
    double flops = 0.0;
    const double time = least_time(40, [&] { flops = table->peak(100000, sink); });
    std::printf("%s, FMA peak %.1f GFLOP/s\n", std::string(isa_name(table->isa)).c_str(),
                flops / time * 1e-9);
    for (const Case& c : kCases) run(*table, c, activation, rounds, flops / time);
  }
  return 0;
}
