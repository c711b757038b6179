// Packed weights shared by all plans of one network: several input sizes cost one copy.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "mobileone/plan/mapped_weights.hpp"

namespace mobileone {

class WeightCache {
 public:
  WeightCache() = default;
  // Weights that were packed before: nothing is packed again.
  explicit WeightCache(std::shared_ptr<const MappedWeights> mapped) : mapped_(std::move(mapped)) {}

  // The packed form filed under `key` (weight name and packed layout), made by `pack` if no plan
  // holds it at present. Safe to call from several threads.
  std::shared_ptr<const void> get(const std::string& key, std::size_t bytes,
                                  const std::function<void(void*)>& pack);
  // Bytes of all packed weights that a plan holds at present.
  std::size_t bytes() const;

 private:
  struct Entry {
    std::weak_ptr<const void> data;
    std::size_t bytes = 0;
  };
  std::shared_ptr<void> allocate(std::size_t bytes);

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::shared_ptr<const MappedWeights> mapped_;
  // Weights are streamed through at every run: side by side on huge pages they cost few address
  // translations. The block lives as long as anything in it.
  std::shared_ptr<void> block_;
  std::size_t used_ = 0;
};

// Packed weights that one plan reads.
struct PackedWeight {
  std::size_t bytes = 0;
  std::shared_ptr<const void> data;
};

}  // namespace mobileone
