// What one core of a CPU can do, as far as the cost model asks: known by the kind of CPU, so that
// every process on a machine makes the same plans; and measured, for reports.
#pragma once

#include <span>
#include <string_view>

#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels {

struct MachineModel {
  double l1_bytes = 0;
  double l2_bytes = 0;
  double peak_flops = 0;            // per second, FMAs in registers
  double l2_bytes_per_second = 0;   // one core reading a buffer of half L2
  double far_bytes_per_second = 0;  // one core reading a buffer far larger than L2 (L3 or memory)
  // Of the time to read a tile from beyond L2 again for every panel: what products do not hide.
  double exposed_tile = 0.7;
  // Of far_bytes_per_second, what prefetch instructions reach: each occupies one of the few buffers
  // for misses until its line has come.
  double prefetch_share = 0.27;
};

/// A kind of core, by the instruction set in use.
struct KnownMachine {
  std::string_view name;
  MachineModel models[kNumIsas];

  constexpr const MachineModel& model(Isa isa) const { return models[static_cast<int>(isa)]; }
};

/// All that plans can be made for; the last one is for CPUs that none of the others describes.
std::span<const KnownMachine> known_machines();

/// The entry of known_machines() for a CPUID vendor ("GenuineIntel"), family and model.
const KnownMachine& find_machine(std::string_view vendor, int family, int model);

/// This CPU's entry, or the one that force_machine named.
const KnownMachine& this_machine();

/// What plans for `table` are chosen by: this_machine(), with the cache sizes that the system
/// reports. The same in every process on this CPU.
MachineModel machine_model(const KernelTable& table);

/// Plans made from now on, in this process, are those of the machine of that name, with its own
/// cache sizes; "" ends it. For tests. Throws std::invalid_argument for another name.
void force_machine(std::string_view name);

/// Reads the cache sizes and times the table's loops; takes about 20 ms. No plan depends on it.
MachineModel measure_machine(const KernelTable& table);

}  // namespace mobileone::kernels
