// int8_steps: where the time of a MobileOne in 8-bit integers goes. Runs its kernels, one after the
// other as in a network, and prints for each kind of step the multiply-adds that it executes (with
// the zeros that fill up its dot products), the bytes that it reads and writes, its time, and its
// share of what a loop of vpdpbusd on registers reaches between two runs. Squeeze-and-excite
// (S4), pool and classifier are left out. Weights are random: they do not change the time.
//
//   int8_steps [--variant s0]... [--seconds 2]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "mobileone/kernels/quantized/quantized.hpp"
#include "network.hpp"
#include "timing.hpp"

namespace {

using namespace mobileone::kernels;
using namespace mobileone::kernels::benchmark;

// Multiply-adds per second of dot products of bytes with nothing else to do, once; 0 where the set
// has no such instruction.
double peak(const QuantizedKernels& kernels) {
  constexpr long kLoops = 2000;
  const bool wide = kernels.name.starts_with("avx512");
  if (!wide && kernels.name != "avx_vnni") return 0.0;
  const auto dots = [&] {
    long loops = kLoops;
    // Twelve sums, more than an instruction's latency takes.
    if (wide) {
      asm volatile(
          "1: .irp to, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
          "vpdpbusd %%zmm14, %%zmm15, %%zmm\\to\n.endr\n dec %0\n jnz 1b\n vzeroupper"
          : "+r"(loops)
          :
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
            "xmm11");
    } else {
      asm volatile(
          "1: .irp to, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
          "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\to\n.endr\n dec %0\n jnz 1b\n vzeroupper"
          : "+r"(loops)
          :
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
            "xmm11");
    }
  };
  return 12.0 * kLoops * (wide ? 64 : 32) / least_time(2, dots);
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

struct Step {
  std::string name;
  double macs = 0.0, bytes = 0.0;
  std::function<void()> run;
  std::vector<double> times;
};

class Chain {
 public:
  Chain(const QuantizedKernels& kernels, const Variant& variant) : kernels_(kernels) {
    constexpr int kSize = 224;
    add_stem(kSize, variant.widths[0]);
    int channels = variant.widths[0], size = kSize / 2;
    for (int stage = 0; stage < 4; ++stage) {
      for (int block = 0; block < kDepths[stage]; ++block) {
        add_block(channels, variant.widths[stage + 1], size, block == 0 ? 2 : 1);
        channels = variant.widths[stage + 1];
        size = (size - 1) / (block == 0 ? 2 : 1) + 1;
      }
    }
  }

  void run(bool timed) {
    for (Step& step : steps) {
      const double start = seconds();
      step.run();
      if (timed) step.times.push_back(seconds() - start);
    }
  }

  std::vector<Step> steps;

 private:
  struct Weights {
    std::vector<float> weight, bias, multiplier;
    QuantizedWeights view() const { return {weight.data(), bias.data(), multiplier.data()}; }
  };
  Weights random_weights(int outputs, int terms) {
    Weights made{{},
                 std::vector<float>(std::size_t(outputs), 10.f),
                 std::vector<float>(std::size_t(outputs), 0x1.2p-10f)};
    for (int i = 0; i < outputs * terms; ++i) {
      made.weight.push_back(static_cast<float>(static_cast<int>(random_() % 255) - 127));
    }
    return made;
  }
  // Side by side, as a network's packed weights are.
  std::byte* memory(std::size_t bytes) {
    auto* const start = reinterpret_cast<std::byte*>(arena_.get()) + used_;
    used_ += (bytes + ByteMap::kSlack + 63) / 64 * 64;
    if (used_ > arena_.bytes()) std::abort();
    return start;
  }
  std::uint8_t* map_memory() {
    return reinterpret_cast<std::uint8_t*>(memory(std::size_t{1} << 20));
  }
  // Two maps take turns.
  std::uint8_t* next_map() { return maps_[turn_ ^= 1]; }

  void add_stem(int size, int channels) {
    QuantizedStemPlan plan;
    plan.height = plan.width = size;
    plan.channels = channels;
    plan.scale = 0.02f;
    plan.image_zero_point = 128;
    plan.traits = kernels_.traits;
    auto* const image =
        reinterpret_cast<float*>(memory(3 * sizeof(float) * std::size_t(size * size)));
    for (int i = 0; i < 3 * size * size; ++i) {
      image[i] = static_cast<float>(static_cast<int>(random_() % 1000) - 500) * 0.005f;
    }
    std::byte* const packed = memory(plan.packed_bytes());
    pack_quantized_stem(plan, random_weights(channels, 27).view(), packed);
    last_ = next_map();
    const QuantizedStemArgs args{image, last_, packed, scratch_};
    const int rows = plan.dst().height;
    const double pixels = double(rows) * plan.dst().width;
    steps.push_back({"stem, " + std::to_string(channels) + " channels",
                     pixels * channels * 28,
                     12.0 * size * size + pixels * channels,
                     [this, plan, args, rows] { kernels_.run_stem(plan, args, 0, rows); },
                     {}});
  }

  void add_block(int in, int out, int size, int stride) {
    QuantizedBlockShape shape;
    shape.channels_in = in;
    shape.channels_out = out;
    shape.height = shape.width = size;
    shape.stride = stride;
    const QuantizedBlockPlan plan = plan_quantized_block(kernels_.traits, shape);
    std::byte* const packed = memory(plan.packed_bytes());
    pack_quantized_block(plan, random_weights(in, 9).view(), random_weights(out, in).view(),
                         packed);
    std::uint8_t* const dst = next_map();
    const QuantizedBlockArgs args{last_, dst, packed, scratch_, {}};
    last_ = dst;
    const double pixels = double(shape.out_height()) * shape.out_width();
    char name[64];
    std::snprintf(name, sizeof name, "%d > %d, %d x %d, stride %d", in, out, size, size, stride);
    steps.push_back({name,
                     pixels * in * (out + 12.0),
                     double(in) * size * size + double(plan.packed_bytes()) + pixels * out,
                     [this, plan, args] { kernels_.run_block(plan, args, 0, plan.tiles()); },
                     {}});
  }

  const QuantizedKernels& kernels_;
  std::mt19937 random_{1};
  Buffer arena_{std::size_t{64} << 20};
  std::size_t used_ = 0;
  std::byte* const scratch_ = memory(std::size_t{1} << 20);
  std::uint8_t* const maps_[2] = {map_memory(), map_memory()};
  int turn_ = 0;
  std::uint8_t* last_ = nullptr;
};

void report(const QuantizedKernels& kernels, const Variant& variant, double limit) {
  Chain chain(kernels, variant);
  chain.run(false);
  std::vector<double> peaks;
  for (const double end = seconds() + limit; seconds() < end;) {
    chain.run(true);
    peaks.push_back(peak(kernels));
  }
  const double limit_peak = median(peaks);
  std::printf("%s, %s: vpdpbusd on registers %.1f GMAC/s\n", variant.name.c_str(),
              std::string(kernels.name).c_str(), limit_peak * 1e-9);
  Step sum;
  double total = 0.0;
  const auto print = [&](const Step& step, int count, double time) {
    std::printf("%-32s x %2d  %8.1f MMAC %7.2f MB %8.1f us %6.1f %%\n", step.name.c_str(), count,
                count * step.macs * 1e-6, count * step.bytes * 1e-6, time * 1e6,
                limit_peak > 0.0 ? 100.0 * count * step.macs / time / limit_peak : 0.0);
  };
  for (std::size_t i = 0; i < chain.steps.size();) {
    Step& step = chain.steps[i];
    double time = 0.0;
    int count = 0;
    for (; i < chain.steps.size() && chain.steps[i].name == step.name; ++i, ++count) {
      time += median(chain.steps[i].times);
      sum.macs += step.macs;
      sum.bytes += step.bytes;
    }
    print(step, count, time);
    total += time;
  }
  sum.name = "all";
  print(sum, 1, total);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> wanted;
  double limit = 2.0;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--variant") == 0) wanted.emplace_back(argv[i + 1]);
    if (std::strcmp(argv[i], "--seconds") == 0) limit = std::max(0.1, std::atof(argv[i + 1]));
  }
  const std::vector<const QuantizedKernels*> sets = supported_quantized_kernels();
  if (sets.empty()) {
    std::fprintf(stderr, "int8_steps: this CPU has no AVX2\n");
    return 1;
  }
  for (const Variant& variant : variants()) {
    if (wanted.empty() || std::ranges::count(wanted, variant.name) > 0) {
      report(*sets.front(), variant, limit);
    }
  }
  return 0;
}
