// The process's thread pools, and work spread over one of them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "mobileone/base/thread_pool.hpp"

namespace mobileone {

// The process's pool of that many threads, made on first use and kept; null for one. Takes a lock:
// steps ask for theirs when they are made.
ThreadPool* shared_pool(int threads);

// Calls work(begin, end, worker) for parts that cover [0, units); `worker`, below its number of
// threads, names the scratch to use. A few parts per thread: a thread that falls behind leaves some
// to the others, and what a part costs once stays small. Without a pool, or when it is busy with
// another run, there is one part.
template <typename Index, typename Work>
void spread(ThreadPool* pool, Index units, const Work& work, int parts_per_thread = 4) {
  const int most = pool ? parts_per_thread * pool->threads() : 1;
  const int parts = static_cast<int>(std::min<std::int64_t>(units, most));
  const auto one = [&](int worker, int part) {
    const auto bound = [&](int index) {
      return static_cast<Index>(std::int64_t{units} * index / parts);
    };
    work(bound(part), bound(part + 1), worker);
  };
  if (!pool || !pool->run(parts, one)) work(Index{0}, units, 0);
}

}  // namespace mobileone
