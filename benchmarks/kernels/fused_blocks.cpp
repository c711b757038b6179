// fused_blocks: a row of four blocks with a residual, [1x1 expansion, k x k depthwise,
// squeeze-and-excite, 1x1 projection, sum], as fused steps against the same graph on
// backend="onednn". Three plans take turns: fused, oneDNN, and fused once more, whose distance from
// the first is what the machine's noise makes of equals. One thread. Prints medians over the
// rounds, of the steps that run the blocks (reorders among them included, the stem before them
// not).
//
//   fused_blocks [--rounds 300]
//
// benchmarks/kernels/fused_blocks.sh runs it for each instruction set, oneDNN held to the same one.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "mobileone/backends/fused/peak.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/engine.hpp"
#include "mobileone/models/initialize.hpp"

namespace {

using namespace mobileone;

struct BlockConfig {
  const char* name;
  std::int64_t size, channels, expanded, kernel, reduced;  // reduced = 0: no squeeze-and-excite
  ActivationKind activation, gate;
};

// MobileNetV3 (arXiv 1905.02244, tables 1 and 2), one of its blocks at twice the size as well, and
// EfficientNet-B0 (arXiv 1905.11946, table 1).
constexpr BlockConfig kConfigs[] = {
    {"V3-Small 14x14", 14, 40, 240, 5, 64, ActivationKind::hard_swish,
     ActivationKind::hard_sigmoid},
    {"V3-Small 14x14 at 28x28", 28, 40, 240, 5, 64, ActivationKind::hard_swish,
     ActivationKind::hard_sigmoid},
    {"V3-Large 28x28", 28, 40, 120, 5, 32, ActivationKind::relu, ActivationKind::hard_sigmoid},
    {"V3-Large 14x14", 14, 112, 672, 3, 168, ActivationKind::hard_swish,
     ActivationKind::hard_sigmoid},
    {"V3-Large 14x14, no SE", 14, 80, 184, 3, 0, ActivationKind::hard_swish,
     ActivationKind::hard_sigmoid},
    {"EfficientNet-B0 28x28", 28, 40, 240, 5, 10, ActivationKind::silu, ActivationKind::sigmoid},
    {"EfficientNet-B0 14x14", 14, 112, 672, 5, 28, ActivationKind::silu, ActivationKind::sigmoid},
};
constexpr int kBlocks = 4;

Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
            std::int64_t groups) {
  return {in,     out, {kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}, {1, 1},
          groups, true};
}

NodeId activated(Graph& graph, const std::string& name, Conv2d op, ActivationKind kind,
                 NodeId from) {
  return graph.add(name + ".act", Activation{kind}, {graph.add(name, op, {from})});
}

NodeId add_block(Graph& graph, const std::string& name, const BlockConfig& config, NodeId source) {
  const std::int64_t hidden = config.expanded;
  NodeId x = activated(graph, name + ".expand", conv(config.channels, hidden, 1, 1, 1),
                       config.activation, source);
  x = activated(graph, name + ".depthwise", conv(hidden, hidden, config.kernel, 1, hidden),
                config.activation, x);
  if (config.reduced > 0) {
    NodeId gate = graph.add(name + ".pool", GlobalAvgPool{}, {x});
    gate = activated(graph, name + ".reduce", conv(hidden, config.reduced, 1, 1, 1),
                     ActivationKind::relu, gate);
    gate = activated(graph, name + ".excite", conv(config.reduced, hidden, 1, 1, 1), config.gate,
                     gate);
    x = graph.add(name + ".scale", Multiply{}, {x, gate});
  }
  x = graph.add(name + ".project", conv(hidden, config.channels, 1, 1, 1), {x});
  return graph.add(name + ".sum", Add{}, {x, source});
}

std::shared_ptr<const Network> network_of(const BlockConfig& config) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  NodeId x = activated(graph, "stem", conv(3, config.channels, 3, 2, 1), config.activation, input);
  for (int i = 0; i < kBlocks; ++i) x = add_block(graph, concat("block", i), config, x);
  graph.output = x;
  return std::make_shared<const Network>(Network{graph, initialize(graph, 1)});
}

// Multiply-adds of one block's convolutions, without squeeze-and-excite.
double block_macs(const BlockConfig& config) {
  const double per_pixel =
      double(config.expanded) * double(2 * config.channels + config.kernel * config.kernel);
  return per_pixel * double(config.size * config.size);
}

struct Runner {
  std::shared_ptr<const Plan> plan;
  std::vector<float> input, output;
  std::vector<double> microseconds;  // of each round

  Runner(const std::shared_ptr<const Network>& network, const Shape& shape, bool fused) {
    CompileOptions options;
    options.outputs = {network->graph.output};
    options.backend = fused ? BackendChoice::automatic : BackendChoice::onednn;
    plan = compile(network, std::make_shared<WeightCache>(), shape, options);
    input.assign(static_cast<std::size_t>(element_count(shape)), 0.1f);
    output.resize(static_cast<std::size_t>(element_count(plan->output_shapes()[0])));
  }

  // From the first step of a block to the last.
  void round() {
    float* outputs[] = {output.data()};
    const auto times = plan->profile(input.data(), outputs, 1).step_ns[0];
    const auto& steps = plan->steps();
    const auto of_block = [](const StepInfo& step) { return step.name.rfind("block", 0) == 0; };
    const auto first = std::find_if(steps.begin(), steps.end(), of_block) - steps.begin();
    const auto end = std::find_if(steps.rbegin(), steps.rend(), of_block).base() - steps.begin();
    double total = 0.0;
    for (auto i = first; i < end; ++i) total += double(times[static_cast<std::size_t>(i)]);
    microseconds.push_back(total * 1e-3);
  }

  std::size_t block_steps() const {
    return static_cast<std::size_t>(
        std::count_if(plan->steps().begin(), plan->steps().end(),
                      [](const StepInfo& step) { return step.name.rfind("block", 0) == 0; }));
  }
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double median_ratio(const Runner& numerator, const Runner& denominator) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < numerator.microseconds.size(); ++i) {
    ratios.push_back(numerator.microseconds[i] / denominator.microseconds[i]);
  }
  return median(std::move(ratios));
}

void compare(const BlockConfig& config, int rounds, double peak) {
  const auto network = network_of(config);
  const Shape shape{1, 3, 2 * config.size, 2 * config.size};
  Runner fused(network, shape, true), onednn(network, shape, false), again(network, shape, true);
  if (fused.block_steps() != kBlocks) {
    throw Error(concat("[blocks] ", config.name, " runs in ", fused.block_steps(),
                       " steps; expected ", kBlocks));
  }
  constexpr int kWarmUp = 20;
  for (int i = 0; i < rounds + kWarmUp; ++i) {
    for (Runner* runner : {&fused, &onednn, &again}) runner->round();
    if (i + 1 != kWarmUp) continue;
    for (Runner* runner : {&fused, &onednn, &again}) runner->microseconds.clear();
  }
  const auto per_block = [](const Runner& runner) { return median(runner.microseconds) / kBlocks; };
  // GFLOP/s and microseconds.
  const double shortest = 2e-3 * block_macs(config) / peak;
  std::printf("%-26s %10.1f %10.1f %10.2f %10.3f %9.0f%% %9.0f%%\n", config.name, per_block(fused),
              per_block(onednn), median_ratio(onednn, fused), median_ratio(again, fused),
              100 * shortest / per_block(fused), 100 * shortest / per_block(onednn));
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 300;
  for (int i = 1; i < argc; ++i) {
    if (i + 1 < argc && std::strcmp(argv[i], "--rounds") == 0) {
      rounds = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: %s [--rounds 300]\n", argv[0]);
      return 2;
    }
  }
  if (rounds < 1) {
    std::fprintf(stderr, "--rounds must be at least 1\n");
    return 2;
  }
  try {
    const double peak = fused::peak_gflops(1);
    std::printf("%s, one thread, peak %.0f GFLOP/s, microseconds per block (median of %d rounds)\n",
                fused::isa_in_use().c_str(), peak, rounds);
    std::printf("%-26s %10s %10s %10s %10s %10s %10s\n", "", "fused", "onednn", "ratio", "null",
                "of peak", "onednn's");
    for (const BlockConfig& config : kConfigs) compare(config, rounds, peak);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
