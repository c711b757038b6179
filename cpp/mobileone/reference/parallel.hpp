// Static split of a loop over threads. Made for long loops: threads are started per call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace mobileone::reference {

// The number of threads that a request stands for; 0 = one per CPU.
inline int resolve_threads(int requested) {
  if (requested > 0) return requested;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Calls body(begin, end) on disjoint ranges that cover [0, count), each of at least `grain`
// iterations. Rethrows one exception of the body.
template <typename Body>
void parallel_for(std::int64_t count, std::int64_t grain, int threads, const Body& body) {
  const std::int64_t most = count / std::max<std::int64_t>(grain, 1);
  const std::int64_t parts = std::clamp<std::int64_t>(most, 1, std::max(threads, 1));
  if (parts == 1) return body(0, count);

  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(parts));
  const auto run_part = [&](std::int64_t part) {
    try {
      body(part * count / parts, (part + 1) * count / parts);
    } catch (...) {
      errors[static_cast<std::size_t>(part)] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (std::int64_t part = 1; part < parts; ++part) workers.emplace_back(run_part, part);
    run_part(0);
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace mobileone::reference
