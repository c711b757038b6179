// Runs that must leave the calling thread: after fork(), and where its stack is small.
#pragma once

#include <cstddef>
#include <functional>

namespace mobileone {

// Whether work on `threads` threads must leave the calling thread: in a forked child the OpenMP
// team of the forking thread no longer exists, and libgomp would wait for it for ever; and a thread
// whose stack has less than kStackBytes left would crash.
inline constexpr std::size_t kStackBytes = std::size_t{256} << 10;
bool needs_fresh_team(int threads);
// Runs `work` on a thread of its own, which gets a new team. Exceptions pass through.
void run_on_fresh_team(const std::function<void()>& work);

}  // namespace mobileone
