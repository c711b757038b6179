// kernels_transformer: the passes of MobileViT's transformers on the kernels alone, for the sizes
// of the published variants at 256 x 256. Prints the least time of every pass, its GFLOP/s and the
// share of the FMA loop's peak measured in the same process.
// (tests/cpp/kernels_transformer_test.cpp checks the values.)
//
//   kernels_transformer [--isa avx512] [--rounds 30] [--cold]
//
// --cold reads 16 MiB before each pass, so that weights and activations come from beyond L2.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "mobileone/kernels/kernels.hpp"
#include "timing.hpp"

namespace {

using namespace mobileone::kernels;
using namespace mobileone::kernels::benchmark;

struct Block {
  const char* name;
  int size, channels, features, depth;
};

constexpr Block kBlocks[] = {
    {"XXS layer 3", 32, 48, 64, 2}, {"XXS layer 4", 16, 64, 80, 4}, {"XXS layer 5", 8, 80, 96, 3},
    {"XS layer 3", 32, 64, 96, 2},  {"XS layer 4", 16, 80, 120, 4}, {"XS layer 5", 8, 96, 144, 3},
    {"S layer 3", 32, 96, 144, 2},  {"S layer 4", 16, 128, 192, 4}, {"S layer 5", 8, 160, 240, 3}};

double peak_flops(const KernelTable& table) {
  float sink[16];
  double best = 0.0;
  for (int i = 0; i < 40; ++i) {
    const double start = seconds();
    const double flops = table.peak(100000, sink);
    best = std::max(best, flops / (seconds() - start));
  }
  return best;
}

// Multiply-accumulates of pass `pass`.
double pass_macs(const TransformerShape& s, int pass) {
  const double tokens = double(s.height) * s.width, d = s.features;
  if (pass % 2 == 1) return 2.0 * tokens * (tokens / (s.patch_height * s.patch_width)) * d;
  double per_token = pass == 0 ? s.channels_in * d : d * d + 2.0 * d * s.hidden;
  per_token += pass == 2 * s.depth ? d * s.channels_out : 3.0 * d * d;
  return tokens * per_token;
}

void run_block(const KernelTable& table, const Block& block, int rounds, double peak,
               const std::function<void()>& before) {
  const TransformerShape shape{block.size,         block.size, block.channels, block.features,
                               2 * block.features, 4,          block.depth,    block.channels};
  const TransformerPlan plan = plan_transformer(table.traits, shape);
  const Floats src(shape.src().num_floats());
  const Floats dst(shape.dst().num_floats());
  const Floats x(plan.x_floats()), qkv(plan.qkv_floats());
  const Floats attended(plan.x_floats());
  const Floats packed(plan.packed_floats(), 0.1f);
  const Floats scratch(std::ptrdiff_t(plan.scratch_bytes() / sizeof(float)));
  const TransformerArgs args{src.get(),      dst.get(),    x.get(),      qkv.get(),
                             attended.get(), packed.get(), scratch.get()};
  std::vector<double> best(2 * shape.depth + 1, std::numeric_limits<double>::infinity());
  for (int round = 0; round < rounds; ++round) {
    for (int pass = 0; pass <= 2 * shape.depth; ++pass) {
      before();
      const double start = seconds();
      if (pass % 2 == 1) {
        table.attention(plan, args, 0, plan.attention_units());
      } else {
        table.transform_tokens(plan, args, pass / 2, 0, plan.half_panels());
      }
      best[pass] = std::min(best[pass], seconds() - start);
    }
  }
  const auto print = [&](const char* what, double macs, double time) {
    std::printf("%-12s %-10s %8.1f us %7.1f GFLOP/s %6.1f %%\n", block.name, what, time * 1e6,
                2.0 * macs / time * 1e-9, 200.0 * macs / time / peak);
  };
  double macs = 0.0, time = 0.0;
  for (int pass = 0; pass <= 2 * shape.depth; ++pass) {
    macs += pass_macs(shape, pass);
    time += best[pass];
    if (pass > 2 && pass < 2 * shape.depth) continue;  // as pass 1 and 2
    const bool last = pass == 2 * shape.depth;
    const char* names[] = {"first", "attention", "middle"};
    print(last ? "last" : names[pass], pass_macs(shape, pass), best[pass]);
  }
  print("all", macs, time);
}

// Whether this CPU has the instruction set of that name.
bool find_isa(const std::string& name, Isa& found) {
  for (Isa isa : supported_isas()) {
    if (isa_name(isa) != name) continue;
    found = isa;
    return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  Isa isa = detect_isa();
  int rounds = 30;
  bool cold = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--cold") {
      cold = true;
    } else if (option == "--rounds" && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (option == "--isa" && i + 1 < argc && find_isa(argv[i + 1], isa)) {
      ++i;
    } else {
      std::fprintf(stderr, "kernels_transformer: unknown argument %s\n", argv[i]);
      return 2;
    }
  }
  const KernelTable& table = kernels(isa);
  const double peak = peak_flops(table);
  std::printf("%s, FMA peak %.1f GFLOP/s%s\n", std::string(isa_name(isa)).c_str(), peak * 1e-9,
              cold ? ", cold" : "");
  constexpr std::ptrdiff_t kFar = 4 << 20;
  const Floats far(kFar);
  volatile float sink = 0.0f;
  const auto before = [&] {
    if (cold) sink = sink + table.read_sum(far.get(), kFar);
  };
  for (const Block& block : kBlocks) run_block(table, block, rounds, peak, before);
  return 0;
}
