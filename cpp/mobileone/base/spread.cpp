#include "mobileone/base/spread.hpp"

#include <map>
#include <memory>
#include <mutex>

namespace mobileone {

ThreadPool* shared_pool(int threads) {
  if (threads == 1) return nullptr;
  static std::mutex mutex;
  // Never destroyed: at exit a worker may still be needed by a thread that outlives main.
  static auto& pools = *new std::map<int, std::unique_ptr<ThreadPool>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<ThreadPool>& slot = pools[threads];
  if (!slot) slot = std::make_unique<ThreadPool>(threads);
  return slot.get();
}

}  // namespace mobileone
