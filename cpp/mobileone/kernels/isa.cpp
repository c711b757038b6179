#include "mobileone/kernels/isa.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels {

namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}

namespace {

struct Entry {
  Isa isa;
  std::string_view name;
  // GCC's builtins also ask XGETBV whether the operating system saves the wide registers.
  bool (*supported)();
  const KernelTable* tables[kNumPrecisions];  // null where there are no kernels
};

// Fastest first.
constexpr Entry kEntries[] = {
    {Isa::kAvx512,
     "avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
     },
     {&avx512::kTable}},
    {Isa::kAvx2,
     "avx2",
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     {&avx2::kTable}},
};

const Entry& entry(Isa isa) {
  for (const Entry& candidate : kEntries) {
    if (candidate.isa == isa) return candidate;
  }
  throw std::invalid_argument("[kernels] no such instruction set");
}

std::string expected_names() {
  std::string names;
  for (const Entry& known : kEntries) {
    names = std::string(known.name) + (names.empty() ? "" : " or ") + names;
  }
  return names;
}

}  // namespace

std::string_view isa_name(Isa isa) { return entry(isa).name; }

std::string_view precision_name(Precision precision) {
  constexpr std::string_view kNames[kNumPrecisions] = {"float32"};
  return kNames[static_cast<int>(precision)];
}

const KernelTable& kernels(Isa isa, Precision precision) {
  const KernelTable* table = entry(isa).tables[static_cast<int>(precision)];
  if (table != nullptr) return *table;
  throw std::invalid_argument("[kernels] " + std::string(isa_name(isa)) + " has no kernels for " +
                              std::string(precision_name(precision)));
}

std::vector<const KernelTable*> supported_tables() {
  std::vector<const KernelTable*> found;
  for (Isa isa : supported_isas()) {
    for (const KernelTable* table : entry(isa).tables) {
      if (table != nullptr) found.push_back(table);
    }
  }
  return found;
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> found;
  for (const Entry& known : kEntries) {
    if (known.supported()) found.push_back(known.isa);
  }
  return found;
}

Isa detect_isa() {
  const std::vector<Isa> supported = supported_isas();
  const char* forced = std::getenv("MOBILEONE_MAX_ISA");
  if (forced != nullptr && *forced != '\0') {
    const std::string_view name = forced;
    for (const Entry& known : kEntries) {
      if (known.name != name) continue;
      if (known.supported()) return known.isa;
      throw std::invalid_argument("[kernels] MOBILEONE_MAX_ISA is \"" + std::string(name) +
                                  "\", which this CPU does not support");
    }
    throw std::invalid_argument("[kernels] MOBILEONE_MAX_ISA is \"" + std::string(name) +
                                "\"; expected " + expected_names());
  }
  if (supported.empty()) {
    throw std::runtime_error("[kernels] this CPU has neither AVX-512 nor AVX2 with FMA");
  }
  return supported.front();
}

}  // namespace mobileone::kernels
