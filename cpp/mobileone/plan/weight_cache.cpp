#include "mobileone/plan/weight_cache.hpp"

#include "mobileone/base/tensor.hpp"

namespace mobileone {

std::shared_ptr<const void> WeightCache::get(const std::string& key, std::size_t bytes,
                                             const std::function<void(void*)>& pack) {
  if (mapped_) return mapped_->get(key, bytes);
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  if (auto data = entry.data.lock()) return data;
  std::shared_ptr<void> data = allocate_aligned(bytes);
  pack(data.get());
  entry = {data, bytes};
  return data;
}

std::size_t WeightCache::bytes() const {
  if (mapped_) return mapped_->bytes();
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& [key, entry] : entries_) {
    if (!entry.data.expired()) total += entry.bytes;
  }
  return total;
}

}  // namespace mobileone
