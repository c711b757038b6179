// Many look-ups in a map by name, in ascending order: one walk through it.
#pragma once

#include <string>
#include <utility>

namespace mobileone {

template <typename Map>
class AscendingFinder {
 public:
  explicit AscendingFinder(Map& map) : at_(map.begin()), end_(map.end()) {}

  // What is filed under `key`, which is not below the one of the call before; null for nothing.
  auto* find(const std::string& key) {
    while (at_ != end_ && at_->first < key) ++at_;
    return at_ != end_ && at_->first == key ? &at_->second : nullptr;
  }

 private:
  decltype(std::declval<Map&>().begin()) at_, end_;
};

}  // namespace mobileone
