#include "mobileone/backends/fused/tiling_record.hpp"

#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

constexpr std::int64_t kMost = 1 << 14;  // rows or parts: far above any map, far below overflow

int field(const std::string& name, const Record& record, const std::string& key, std::int64_t least,
          std::int64_t most) {
  const auto found = record.find(key);
  if (found == record.end()) throw Error(concat("[plan] the record of ", name, " has no ", key));
  if (found->second < least || found->second > most) {
    throw Error(concat("[plan] the record of ", name, ": ", key, " is ", found->second,
                       "; expected ", least, " to ", most));
  }
  return static_cast<int>(found->second);
}

}  // namespace

TunedTiling to_tuned(const std::string& name, const Record& record) {
  TunedTiling tuned;
  tuned.levels = field(name, record, "strassen", 0, kMostLevels);
  if (record.contains("rows")) tuned.rows = field(name, record, "rows", 1, kMost);
  if (record.contains("column_parts")) {
    tuned.column_parts = field(name, record, "column_parts", 1, kMost);
  }
  return tuned;
}

Record to_record(const kernels::Tiling& tiling) {
  return {{"strassen", static_cast<std::int64_t>(tiling.algorithm)},
          {"rows", tiling.tile_rows},
          {"column_parts", tiling.column_parts},
          {"weights_stay", tiling.weights_stay}};
}

kernels::Tiling to_tiling(const std::string& name, const Record& record) {
  kernels::Tiling tiling;
  tiling.algorithm =
      static_cast<kernels::Algorithm>(field(name, record, "strassen", 0, kMostLevels));
  tiling.tile_rows = field(name, record, "rows", 1, kMost);
  tiling.column_parts = field(name, record, "column_parts", 1, kMost);
  tiling.weights_stay = field(name, record, "weights_stay", 0, 1) == 1;
  return tiling;
}

}  // namespace mobileone::fused
