// kernels_convolutions: MobileViT's stem, inverted residual blocks and dense convolutions on the
// kernels alone, for the published variants, cut up as a compiled network's. Prints the least time
// of each, its GFLOP/s and the share of the FMA loop's peak measured in the same process.
// (tests/cpp/kernels_conv_test.cpp and kernels_inverted_residual_test.cpp check the values.)
//
//   kernels_convolutions [--variant xs]... [--size 256] [--rounds 200] [--activation silu | relu]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mobileone/kernels/tiling/conv_tiling.hpp"
#include "timing.hpp"

namespace {

using namespace mobileone::kernels;
using namespace mobileone::kernels::benchmark;

struct Variant {
  const char* name;
  int widths[5], expansion, head_width;
};

constexpr Variant kVariants[] = {
    {"xxs", {16, 24, 48, 64, 80}, 2, 320},
    {"xs", {32, 48, 64, 80, 96}, 4, 384},
    {"s", {32, 64, 96, 128, 160}, 4, 640},
};

class Benchmark {
 public:
  Benchmark(int rounds, Activation activation) : rounds_(rounds), activation_(activation) {
    float sink[16];
    double flops = 0.0;
    const double time = least_time(40, [&] { flops = table_.peak(100000, sink); });
    peak_ = flops / time;
    std::printf("%s, FMA peak %.1f GFLOP/s\n", std::string(isa_name(table_.isa)).c_str(),
                peak_ * 1e-9);
  }

  void stem(int size, int channels, Algorithm algorithm) {
    const StemPlan plan = plan_stem(table_.traits, size, size, channels, activation_, algorithm);
    const MapShape map = plan.dst();
    const Floats image(3 * size * size), dst(map.num_floats()), packed(plan.packed_bytes() / 4);
    const Floats scratch(plan.scratch_bytes() / 4);
    const StemArgs args{image.get(), dst.get(), packed.get(), scratch.get()};
    report(plan.by_windows() ? "stem" : "stem direct", plan.macs(), [&] {
      for (int y = 0; y < map.height; y += 4) {
        table_.run_stem(plan, args, y, std::min(y + 4, map.height));
      }
    });
  }

  void block(int in, int expansion, int out, int size, int stride) {
    BlockShape shape{in, in * expansion, out, size, size, 3, stride, activation_, activation_};
    shape.project.residual = stride == 1 && in == out;
    const Tiling tiling = choose_tiling(table_, machine_, shape, {});
    const auto plan = plan_block(table_.traits, shape, tiling);
    const Floats src(shape.src().num_floats()), dst(shape.dst().num_floats());
    const Floats packed(plan.packed_bytes() / 4, 0.1f), scratch(plan.scratch_bytes() / 4);
    BlockArgs args;
    args.src = src.get();
    args.dst = dst.get();
    args.packed = packed.get();
    args.scratch = scratch.get();
    report("block", shape.macs(), [&] { table_.run_block(plan, args, 0, plan.units()); });
  }

  void convolution(int in, int in2, int out, int size, int kernel,
                   AlgorithmChoice choice = AlgorithmChoice::kAuto) {
    const ConvShape shape{in, in2, out, size, size, kernel, activation_};
    const Tiling tiling = choose_tiling(table_, machine_, shape, {.choice = choice});
    const ConvPlan plan = plan_conv(table_.traits, shape, tiling);
    const Floats src(shape.src().num_floats()), src2(shape.src2().num_floats());
    const Floats dst(shape.dst().num_floats()), packed(plan.packed_bytes() / 4, 0.1f);
    const Floats scratch(plan.scratch_bytes() / 4);
    ConvArgs args;
    args.src = src.get();
    args.src2 = src2.get();
    args.dst = dst.get();
    args.packed = packed.get();
    args.scratch = scratch.get();
    const bool direct = choice == AlgorithmChoice::kDirect;
    report(kernel == 1 ? "1x1"
           : direct    ? "3x3 direct"
                       : "3x3",
           shape.macs(), [&] { table_.run_conv(plan, args, 0, plan.units()); });
  }

  void run(const Variant& v, int size) {
    names_.clear();
    const int* w = v.widths;
    for (int channels : {16, 32, 48, 64}) {
      stem(size, channels, Algorithm::kStrassen);
      stem(size, channels, Algorithm::kDirect);
    }
    block(16, v.expansion, w[0], size / 2, 1);
    block(w[0], v.expansion, w[1], size / 2, 2);
    block(w[1], v.expansion, w[1], size / 4, 1);
    block(w[1], v.expansion, w[1], size / 4, 1);
    for (int layer = 2; layer < 5; ++layer) {
      const int side = size >> (layer + 1);
      block(w[layer - 1], v.expansion, w[layer], 2 * side, 2);
      for (AlgorithmChoice choice : {AlgorithmChoice::kAuto, AlgorithmChoice::kDirect}) {
        convolution(w[layer], 0, w[layer], side, 3, choice);
        convolution(w[layer], w[layer], w[layer], side, 3, choice);
      }
    }
    convolution(w[4], 0, v.head_width, size / 32, 1);
    for (const std::string& name : names_) print(v.name, name, total_[name]);
  }

 private:
  struct Sum {
    double macs = 0.0, time = 0.0;
  };

  void report(const std::string& kind, double macs, const std::function<void()>& work) {
    const double time = least_time(rounds_, work);
    print("", kind, {macs, time});
    if (std::find(names_.begin(), names_.end(), kind) == names_.end()) {
      names_.push_back(kind);
      total_[kind] = {};
    }
    total_[kind].macs += macs;
    total_[kind].time += time;
  }

  void print(const char* variant, const std::string& kind, const Sum& sum) const {
    std::printf("%-4s %-6s %8.2f M %9.1f us %7.1f GFLOP/s %6.1f %%\n", variant, kind.c_str(),
                sum.macs * 1e-6, sum.time * 1e6, 2.0 * sum.macs / sum.time * 1e-9,
                200.0 * sum.macs / sum.time / peak_);
  }

  const KernelTable& table_ = kernels(detect_isa());
  const MachineModel machine_ = machine_model(table_);
  const int rounds_;
  const Activation activation_;
  double peak_ = 0.0;
  std::vector<std::string> names_;
  std::map<std::string, Sum> total_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> wanted;
  int size = 256, rounds = 200;
  Activation activation = Activation::kSilu;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[++i] : "";
    if (option == "--variant") {
      wanted.push_back(value);
    } else if (option == "--size" && std::atoi(value.c_str()) >= 64) {
      size = std::atoi(value.c_str());
    } else if (option == "--rounds") {
      rounds = std::max(1, std::atoi(value.c_str()));
    } else if (option == "--activation" && (value == "silu" || value == "relu")) {
      activation = value == "silu" ? Activation::kSilu : Activation::kRelu;
    } else {
      std::fprintf(stderr, "kernels_convolutions: bad argument %s %s\n", option.c_str(),
                   value.c_str());
      return 2;
    }
  }
  Benchmark benchmark(rounds, activation);
  for (const Variant& variant : kVariants) {
    const bool all = wanted.empty();
    if (all || std::count(wanted.begin(), wanted.end(), variant.name)) benchmark.run(variant, size);
  }
  return 0;
}
