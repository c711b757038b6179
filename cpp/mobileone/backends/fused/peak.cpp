#include "mobileone/backends/fused/peak.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>

#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

double peak_gflops(int threads) {
  if (threads < 1) throw Error(concat("[peak] threads is ", threads, "; expected at least 1"));
  if (kernels::supported_isas().empty()) {
    throw NotSupported("[peak] this CPU has no AVX2 and FMA; expected both");
  }
  constexpr long kIterations = 20000;
  constexpr int kRuns = 20;
  double best = 0.0;
  for (int run = 0; run < kRuns; ++run) {
    std::atomic<double> flops{0.0};
    const double start = seconds_now();
    spread(pool(threads), threads, [&](int begin, int end, int) {
      float sink[16];
      for (int unit = begin; unit < end; ++unit) flops += table().peak(kIterations, sink);
    });
    best = std::max(best, flops.load() / (seconds_now() - start));
  }
  return best * 1e-9;
}

std::string isa_in_use() {
  if (kernels::supported_isas().empty()) return "none";
  return std::string(kernels::isa_name(table().isa));
}

std::string quantized_isa_in_use() {
  return quantized_kernels() ? std::string(quantized_kernels()->name) : "none";
}

std::vector<std::pair<std::string, int>> packing_parameters() {
  if (kernels::supported_isas().empty()) return {};
  return {{"channel_block", kernels::kBlock},
          {"panel_blocks", table().traits.panel_blocks},
          {"half_block", kernels::kBlock / 2},
          {"linear_columns", table().traits.linear_columns()}};
}

std::vector<std::string> native_dtypes() {
  std::vector<std::string> names{"float32"};
  if (kernels::supported_isas().empty()) return names;
  try {
    const auto& bfloat16 = kernels::kernels(table().isa, kernels::Precision::kBfloat16);
    names.emplace_back(kernels::precision_name(bfloat16.precision));
  } catch (const std::invalid_argument&) {  // has none
  }
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (kernels::Isa isa : kernels::supported_isas()) names.emplace_back(kernels::isa_name(isa));
  return names;
}

}  // namespace mobileone::fused
