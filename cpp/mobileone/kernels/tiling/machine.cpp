#include "mobileone/kernels/tiling/machine.hpp"

#include <cpuid.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

namespace {

constexpr double kKiB = 1024.0, kMiB = 1024.0 * 1024.0;

// Peaks and bandwidths as measure_machine finds them on an idle core, in round numbers: AVX2,
// AVX-512.
constexpr std::array kMachines{
    // Sapphire Rapids too: the same core and L2.
    KnownMachine{"emerald-rapids",
                 {{48 * kKiB, 2 * kMiB, 96e9, 121.5e9, 28.5e9},
                  {48 * kKiB, 2 * kMiB, 198e9, 153e9, 28.5e9}}},
    // And Skylake-X, of the same family and model.
    KnownMachine{
        "cascade-lake",
        {{32 * kKiB, 1 * kMiB, 85e9, 90e9, 20e9}, {32 * kKiB, 1 * kMiB, 151e9, 112e9, 20e9}}},
    KnownMachine{"zen5",
                 {{48 * kKiB, 1 * kMiB, 127e9, 150e9, 112e9, 0.15, 0.138},
                  {48 * kKiB, 1 * kMiB, 260e9, 200e9, 112e9, 0.15, 0.138}}},
    KnownMachine{
        "other",
        {{32 * kKiB, 1 * kMiB, 100e9, 100e9, 25e9}, {32 * kKiB, 1 * kMiB, 160e9, 120e9, 25e9}}},
};

struct CpuId {
  std::string vendor;
  int family = 0, model = 0;
};

CpuId read_cpu_id() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  CpuId id;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0) return id;
  char vendor[12];
  std::memcpy(vendor, &b, 4);
  std::memcpy(vendor + 4, &d, 4);
  std::memcpy(vendor + 8, &c, 4);
  id.vendor.assign(vendor, sizeof vendor);
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return id;
  // The extended fields count from family 15 on; the model's on Intel's family 6 as well.
  const int family = a >> 8 & 15, extended = a >> 20 & 255;
  id.family = family == 15 ? family + extended : family;
  id.model = a >> 4 & 15;
  if (family == 6 || family == 15) id.model |= (a >> 16 & 15) << 4;
  return id;
}

std::atomic<const KnownMachine*> forced{nullptr};

double cache_bytes(int name, double fallback) {
  const long bytes = sysconf(name);  // 0 or -1 where the C library cannot tell
  return bytes > 0 ? static_cast<double>(bytes) : fallback;
}

void read_caches(MachineModel& machine) {
  machine.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, machine.l1_bytes);
  machine.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, machine.l2_bytes);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The fastest of a few runs: other processes can only make one slower.
template <typename Work>
double fastest(int runs, const Work& work) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const double start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

double read_rate(const KernelTable& table, const float* data, double bytes, int runs) {
  const std::ptrdiff_t count = static_cast<std::ptrdiff_t>(bytes / sizeof(float)) / 128 * 128;
  volatile float sink = 0.0f;
  const double seconds = fastest(runs, [&] { sink = sink + table.read_sum(data, count); });
  return static_cast<double>(count) * sizeof(float) / seconds;
}

}  // namespace

std::span<const KnownMachine> known_machines() { return kMachines; }

const KnownMachine& find_machine(std::string_view vendor, int family, int model) {
  constexpr int kSkylakeServer = 0x55, kSapphireRapids = 0x8f, kEmeraldRapids = 0xcf;
  constexpr int kZen5 = 0x1a;  // a whole family
  if (vendor == "GenuineIntel" && family == 6) {
    if (model == kSapphireRapids || model == kEmeraldRapids) return kMachines[0];
    if (model == kSkylakeServer) return kMachines[1];
  }
  if (vendor == "AuthenticAMD" && family == kZen5) return kMachines[2];
  return kMachines.back();
}

const KnownMachine& this_machine() {
  static const KnownMachine& found = []() -> const KnownMachine& {
    const CpuId id = read_cpu_id();
    return find_machine(id.vendor, id.family, id.model);
  }();
  const KnownMachine* const other = forced.load();
  return other != nullptr ? *other : found;
}

MachineModel machine_model(const KernelTable& table) {
  const KnownMachine& machine = this_machine();
  MachineModel model = machine.model(table.isa);
  if (forced.load() == nullptr) read_caches(model);
  return model;
}

void force_machine(std::string_view name) {
  const auto found =
      std::find_if(kMachines.begin(), kMachines.end(),
                   [&](const KnownMachine& machine) { return machine.name == name; });
  if (found == kMachines.end() && !name.empty()) {
    std::string expected;
    for (const KnownMachine& machine : kMachines) expected += std::string(machine.name) + ", ";
    throw std::invalid_argument("[machine] name is \"" + std::string(name) + "\"; expected " +
                                expected + "or nothing");
  }
  forced = name.empty() ? nullptr : &*found;
}

MachineModel measure_machine(const KernelTable& table) {
  MachineModel m;
  m.l1_bytes = 32 * kKiB;
  m.l2_bytes = 1 * kMiB;
  read_caches(m);
  float sink[16];
  double flops = 0.0;
  const double seconds = fastest(20, [&] { flops = table.peak(10000, sink); });
  m.peak_flops = flops / seconds;

  // Enough that L2 holds little of it: more costs a start time and memory, and reads no slower.
  const double far_bytes = 3.0 * m.l2_bytes;
  const std::size_t size = static_cast<std::size_t>(far_bytes) / kAlignment * kAlignment;
  const std::unique_ptr<float, decltype(&std::free)> data(
      static_cast<float*>(std::aligned_alloc(kAlignment, size)), std::free);
  std::fill_n(data.get(), size / sizeof(float), 1.0f);
  m.far_bytes_per_second = read_rate(table, data.get(), far_bytes, 3);
  m.l2_bytes_per_second = read_rate(table, data.get(), m.l2_bytes / 2, 10);
  return m;
}

}  // namespace mobileone::kernels
