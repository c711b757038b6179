#include "mobileone/kernels/isa.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "mobileone/kernels/bfloat16_tables.hpp"

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
  const KernelTable* table;
};

// Fastest first.
constexpr Entry kEntries[] = {
    {Isa::kAvx512, "avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
     },
     &avx512::kTable},
    {Isa::kAvx2, "avx2",
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, &avx2::kTable},
};

const Entry& entry(Isa isa) {
  for (const Entry& candidate : kEntries) {
    if (candidate.isa == isa) return candidate;
  }
  throw std::invalid_argument("[kernels] no such instruction set");
}

const KernelTable& table_of(Isa isa, Precision precision) {
  if (precision == Precision::kFloat32) return *entry(isa).table;
  static const KernelTable wide = bfloat16_table(avx512::kTable),
                           narrow = bfloat16_table(avx2::kTable);
  return isa == Isa::kAvx512 ? wide : narrow;
}

// Beyond what every kernel of the set needs.
bool has_instructions(Precision precision) {
  return precision == Precision::kFloat32 || __builtin_cpu_supports("avx512bf16");
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
  constexpr std::string_view kNames[kNumPrecisions] = {"float32", "bfloat16"};
  return kNames[static_cast<int>(precision)];
}

const KernelTable& kernels(Isa isa, Precision precision) {
  const KernelTable& table = table_of(isa, precision);
  if (!table.emulated && has_instructions(precision)) return table;
  const std::string lacking(table.emulated ? isa_name(isa) : "this CPU");
  throw std::invalid_argument("[kernels] " + std::string(precision_name(precision)) +
                              " needs AVX512-BF16 (avx512_bf16), which " + lacking +
                              " does not have");
}

const KernelTable& emulation(Precision precision) {
  const KernelTable& table = table_of(Isa::kAvx2, precision);
  if (table.emulated) return table;
  throw std::invalid_argument("[kernels] " + std::string(precision_name(precision)) +
                              " needs no emulation");
}

std::vector<const KernelTable*> supported_tables(Precision precision) {
  std::vector<const KernelTable*> found;
  for (Isa isa : supported_isas()) {
    const KernelTable& table = table_of(isa, precision);
    if (table.emulated || has_instructions(precision)) found.push_back(&table);
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
