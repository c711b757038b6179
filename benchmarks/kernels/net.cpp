// kernels_net: whole networks on the kernels alone. Checks every step against the float64
// reference, then prints time, GFLOP/s and the share of the FMA loop's peak measured in the same
// process.
//
//   kernels_net [--variant s0]... [--no-check] [--blocks] [--sweep] [--seconds 1.0]
//               [--threads 1] [--direct | --strassen]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "mobileone/kernels/tiling/cost_model.hpp"
#include "network.hpp"
#include "timing.hpp"

namespace {

using namespace mobileone::kernels;
using namespace mobileone::kernels::benchmark;

struct Timing {
  double minimum, median;  // milliseconds
};

Timing measure(double budget, const std::function<void()>& work) {
  std::vector<double> times;
  work();
  for (double start = seconds(); seconds() - start < budget || times.size() < 5;) {
    const double before = seconds();
    work();
    times.push_back((seconds() - before) * 1e3);
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

double peak_gflops(const KernelTable& table) {
  float sink[16];
  double flops = 0.0;
  const Timing timing = measure(0.2, [&] { flops = table.peak(200000, sink); });
  return flops / timing.minimum * 1e-6;
}

void print_row(const std::string& label, double macs, Timing t, double peak) {
  const double gflops = 2.0 * macs / t.minimum * 1e-6;
  std::printf("%-42s %8.3f / %8.3f ms %8.1f GFLOP/s %6.1f %%\n", label.c_str(), t.minimum, t.median,
              gflops, 100.0 * gflops / peak);
}

std::string describe(const BlockPlan& plan) {
  const BlockShape& s = plan.shape;
  char text[96];
  std::snprintf(text, sizeof text, "%4d>%4d %3dx%-3d s%d %s rows %2d", s.channels_in,
                s.channels_out, s.out_height(), s.out_width(), s.stride,
                plan.project.strassen() ? "strassen" : "direct  ", plan.tile_rows);
  return text;
}

bool same_work(const Block& a, const Block& b) {
  const BlockShape &p = a.plan.shape, &q = b.plan.shape;
  return p.channels_in == q.channels_in && p.stride == q.stride && a.se == b.se;
}

std::vector<Tiling> candidates(const IsaTraits& isa, const BlockShape& shape) {
  std::vector<Tiling> all;
  for (int rows = 1; rows <= shape.out_height(); ++rows) {
    const int pixels = rows * shape.out_width();
    if (shape.out_height() % rows != 0 || (pixels < 48 && rows < shape.out_height())) continue;
    for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen}) {
      if (algorithm == Algorithm::kStrassen && !strassen_applies(isa, shape)) continue;
      all.push_back({algorithm, rows});
    }
  }
  return all;
}

// Times every candidate tiling of each block, in rounds that interleave the candidates (this keeps
// a slow phase of the machine from deciding), and keeps the fastest.
void sweep(const IsaTraits& isa, Network& net, const std::vector<float>& image, double peak,
           int rounds) {
  for (int i = 0; i < net.num_blocks(); ++i) {
    if (i >= 2 && same_work(net.block(i), net.block(i - 1))) {
      net.set_tiling(i, net.block(i - 1).tiling);
      continue;
    }
    const BlockShape shape = net.block(i).plan.shape;
    const std::vector<Tiling> all = candidates(isa, shape);
    std::vector<Timing> times(all.size(), {1e30, 1e30});
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t c = 0; c < all.size(); ++c) {
        net.set_tiling(i, all[c]);
        const Timing t =
            measure(0.0, [&] { i == 0 ? net.run_stem(image.data()) : net.run_block(i); });
        if (t.minimum < times[c].minimum) times[c] = t;
      }
    }
    std::size_t best = 0;
    for (std::size_t c = 0; c < all.size(); ++c) {
      if (times[c].minimum < times[best].minimum) best = c;
      net.set_tiling(i, all[c]);
      print_row("  " + describe(net.block(i).plan), i == 0 ? net.stem_macs() : shape.macs(),
                times[c], peak);
    }
    net.set_tiling(i, all[best]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names;
  AlgorithmChoice choice = AlgorithmChoice::kAuto;
  Precision precision = Precision::kFloat32;
  bool checked = true, per_block = false, swept = false;
  double budget = 1.0;
  int threads = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--variant" && i + 1 < argc)
      names.push_back(argv[++i]);
    else if (arg == "--seconds" && i + 1 < argc)
      budget = std::stod(argv[++i]);
    else if (arg == "--threads" && i + 1 < argc)
      threads = std::stoi(argv[++i]);
    else if (arg == "--direct")
      choice = AlgorithmChoice::kDirect;
    else if (arg == "--strassen")
      choice = AlgorithmChoice::kStrassen;
    else if (arg == "--no-check")
      checked = false;
    else if (arg == "--bfloat16")  // the check is of float32
      precision = Precision::kBfloat16, choice = AlgorithmChoice::kDirect, checked = false;
    else if (arg == "--blocks")
      per_block = true;
    else if (arg == "--sweep")
      swept = true;
    else
      return std::fprintf(stderr, "kernels_net: unknown argument %s\n", arg.c_str()), 2;
  }
  const KernelTable& table = kernels(detect_isa(), precision);
  const double peak = peak_gflops(table);
  const MachineModel machine = machine_model(table), measured = measure_machine(table);
  std::printf(
      "isa %s, FMA peak %.1f GFLOP/s, L2 %.0f KiB at %.0f GB/s, beyond %.0f GB/s; plans of %s\n",
      isa_name(table.isa).data(), peak, measured.l2_bytes / 1024,
      measured.l2_bytes_per_second * 1e-9, measured.far_bytes_per_second * 1e-9,
      this_machine().name.data());
  mobileone::ThreadPool pool(threads);
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> image(3 * 224 * 224), logits(1000);
  for (float& x : image) x = normal(engine);
  for (const Variant& variant : variants()) {
    if (!names.empty() && std::find(names.begin(), names.end(), variant.name) == names.end())
      continue;
    Network net(table, variant, 224, pool);
    for (int i = 0; i < net.num_blocks(); ++i) {
      net.set_tiling(i, choose_tiling(table, machine, net.block(i).plan.shape, {choice, threads}));
    }
    if (swept) sweep(table.traits, net, image, peak, 6);
    if (checked) {
      const std::string wrong = net.check(image);
      if (!wrong.empty()) return std::printf("%s: %s\n", variant.name.c_str(), wrong.c_str()), 1;
    }
    net.run(image.data(), logits.data());
    if (per_block) {
      print_row("stem + " + describe(net.block(0).plan), net.stem_macs(),
                measure(budget / 5, [&] { net.run_stem(image.data()); }), peak);
      for (int i = 1; i < net.num_blocks(); ++i) {
        print_row(describe(net.block(i).plan), net.block(i).plan.shape.macs(),
                  measure(budget / 10, [&] { net.run_block(i); }), peak);
      }
      print_row("pool + classifier", net.head_macs(),
                measure(budget / 5, [&] { net.run_head(logits.data()); }), peak);
    }
    print_row(variant.name + (checked ? " (checked)" : ""), net.macs(),
              measure(budget, [&] { net.run(image.data(), logits.data()); }), peak);
    std::fflush(stdout);
  }
  return 0;
}
